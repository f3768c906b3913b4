"""What file names promise: which files claim to hold tensors, and which never do."""

# A file named like this claims to be a checkpoint, so failing to read it must be said.
_CHECKPOINT_SUFFIXES = (
    *(".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".distcp", ".nemo", ".pkl", ".pickle"),
    *(".gguf", ".ggml", ".h5", ".hdf5", ".keras", ".onnx", ".msgpack", ".npz", ".npy", ".joblib"),
    *(".tflite", ".pb", ".mar", ".pt2", ".mlmodel", ".index"),
)
# Never checkpoints, so not even opened.
_TEXT_SUFFIXES = (
    *(".json", ".jsonl", ".md", ".txt", ".py", ".yaml", ".yml", ".toml", ".csv", ".tsv", ".html"),
    *(".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".ipynb", ".gitattributes", ".gitignore"),
    *("fingerprint.pb", "keras_metadata.pb"),  # beside TensorFlow's saved_model.pb
)


def claims_tensors(path: str) -> bool:
    """Whether tensors are kept under such a name, so that an unreadable file must be told of."""
    return path.lower().endswith(_CHECKPOINT_SUFFIXES)


def never_holds_tensors(path: str) -> bool:
    """Whether a file of this name is text or a picture."""
    return path.lower().endswith(_TEXT_SUFFIXES)
