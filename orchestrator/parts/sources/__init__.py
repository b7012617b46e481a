"""The distributors: one module each, all behind `base.Source`."""
