"""The benchmark Neural Latents '21 (Pei et al. 2021): its datasets, tensors, scores and files."""
