"""Reading the MedIMeta format."""
