"""The user's own labels: fine-tune a model on them, measure models by them, decide what becomes production.

Takes a catalog of labels and images; writes `<workspace>/finetune/` and rows of the registry. Needs no torch.
"""
