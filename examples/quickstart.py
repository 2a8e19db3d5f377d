"""The whole way in Python: a simulated recording, a run, and its student used on spikes alone."""

import neuroblend as nb

if __name__ == "__main__":  # worker processes import this file
    trials = nb.simulate_reaching(n_trials=240, n_neurons=60, seed=0)
    settings = nb.RunConfig(seeds=1, training=nb.TrainingConfig(epochs=50))
    run = nb.run(trials, out="runs/quickstart", config=settings, jobs=None, quiet=False)
    prediction = nb.predict_run(run, trials.spikes[:10])  # no behavior: rates and decoded hand
    print(nb.verdict(run.results()).sentence)
    print(f"decoded {prediction.behavior.shape} of {prediction.behavior_names}")
    print(f"page: {nb.write_report(run)}")
