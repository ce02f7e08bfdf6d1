"""From prepared cohorts to weights: recipe, augmentation, loader, fitting, checkpoints, curves."""
