"""2D pose networks: backbones, heads, training, evaluation and inference, in backend-neutral Keras 3.

Keras and its backend are imported by the functions that need them, never with this package. The backend is TensorFlow
unless the environment variable KERAS_BACKEND says "jax" or "torch".
"""

from __future__ import annotations

__all__: list[str] = []
