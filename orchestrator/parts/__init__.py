"""The components aggregator: one live search over electronic-component distributors, in Russian or English."""
