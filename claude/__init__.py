"""The Claude side, the only importer of `anthropic`: the model adapter, the scripted server."""
