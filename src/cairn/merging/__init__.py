"""How weights become other weights: adapters put in and taken out, siblings merged. Arrays only."""
