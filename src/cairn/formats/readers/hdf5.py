"""HDF5 files: groups of datasets, such as Keras' `.h5` and `.weights.h5`, read without libhdf5.

    superblock            signature, widths of addresses, end of file, root group
    object headers        messages: shape, type, layout, filters, attributes, members
    groups                B-tree and local heap of names, or link messages
    datasets              contiguous, compact, or in chunks that went through filters

The parts have byte tables of their own in `hdf5_addresses`, `hdf5_objects`, `hdf5_groups`,
`hdf5_dense`, `hdf5_types`, `hdf5_storage`, `hdf5_chunks` and `hdf5_attributes`. Specification:
https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html.
"""

from cairn.domain import Layout, Scalar, Source
from cairn.formats.hdf5_addresses import signature_at
from cairn.formats.hdf5_contents import Hdf5Contents, read_contents
from cairn.formats.keras_config import KerasModel, modules_of, parse_model, training_of
from cairn.formats.reader import Reader


class Hdf5Reader(Reader):
    """Reads the numeric datasets of any HDF5 file, and what Keras says in its attributes."""

    @property
    def name(self) -> str:
        """`hdf5`."""
        return "hdf5"

    def recognises(self, head: bytes, source: Source) -> bool:
        """The signature, at the start or behind a user block."""
        del source
        return signature_at(head) is not None

    def read(self, source: Source) -> Layout:
        """Lay the file out from its object headers."""
        contents = read_contents(source)
        model, training = _keras_model(contents, source)
        layers = {} if model is None else modules_of(model, contents.attributes)
        modules = {path: layer.class_name for path, layer in layers.items()}
        return Layout(
            format=self.name,
            size_bytes=source.size_bytes,
            tensors=tuple(contents.tensors),
            storages=contents.storages,
            metadata={**contents.metadata, **training},
            notes=contents.notes.listed(),
            architecture=None if model is None else model.architecture,
            modules=modules,
        )


def _keras_model(
    contents: Hdf5Contents, source: Source
) -> tuple[KerasModel | None, dict[str, Scalar]]:
    """The model that Keras 1 and 2 describe in attributes of the outermost group."""
    attributes = contents.attributes.get("", {})
    config, training = attributes.get("model_config"), attributes.get("training_config")
    model, found = None, {}
    if isinstance(config, str):
        model = parse_model(config.encode(), source.name, "model_config", contents.notes)
    if isinstance(training, str):
        declared = training_of(training.encode(), source.name, "training_config")
        found = {f"training_config.{key}": value for key, value in declared.items()}
    return model, found
