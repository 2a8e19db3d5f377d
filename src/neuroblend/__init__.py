"""neuroblend: neural-only models that learned from behavior they will not have later.

The public names and their homes are listed in ``__init__.pyi``. They are imported when first used,
so that ``import neuroblend`` and ``neuroblend --help`` cost nothing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
