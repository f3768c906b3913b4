"""The Hugging Face wire: what unmodified HF clients send and need, one file per family."""
