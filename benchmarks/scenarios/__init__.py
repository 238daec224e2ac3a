"""One module or folder for each scenario; `harness.scenario` says what it must hold."""
