"""What the MedIMeta adapter is measured against: `python -m benchmarks.medimeta`."""
