"""Every cap a reader obeys, with the reason for its value.

A file beyond a cap raises `LimitError`: it stays storable and downloadable, it is only not
taken apart. Sizes are bytes.
"""

MIB = 1 << 20

HEAD_BYTES = 4096
"""Bytes shown to `Reader.recognises`: one page, more than any magic number and first zip header."""

MAX_AXES = 64
"""Axes of one tensor. torch refuses more than 64 (`c10::SmallVector` users check
`kDimVectorStaticSize` paths, `TensorIterator` caps at 64); numpy 2 caps at 64 as well."""

MAX_INT64 = (1 << 63) - 1
"""Sizes, strides and element counts are int64 in torch and usize in safetensors."""

MAX_TENSORS = 500_000
"""Tensors listed for one file. The largest public mixture-of-experts checkpoints have about
100,000 tensors over all their shards; at some 500 bytes per `TensorInfo` this bounds 250 MB."""

MAX_NAME_CHARS = 4096
"""Characters of one dotted tensor name: PATH_MAX, beyond anything a module tree yields."""

MAX_ALL_NAMES_CHARS = 32 * MIB
"""Characters of all names of one file: 64 per tensor at `MAX_TENSORS`. Needed because a pickle
can put one long prefix before many short keys, so names may outgrow the bytes that made them."""

MAX_DEPTH = 200
"""Nesting of containers followed when looking for tensors. A module tree costs two levels per
submodule; the deepest in the torch test-suite stays under 60."""

MAX_METADATA_ITEMS = 2000
"""Flat metadata entries kept for one file: a large `TrainingArguments` has about 200."""

MAX_METADATA_KEY_CHARS = 500
"""Characters of a flat metadata key kept before it is cut."""

MAX_METADATA_VALUE_CHARS = 4096
"""Characters of one metadata string kept before it is cut; kohya's training tags reach
megabytes and nobody reads them in a table."""

MAX_LISTED_VALUES = 16
"""Lists of scalars up to this length become metadata entries; longer ones become a count
(a Python RNG state is a tuple of 625 integers)."""

MAX_MODULES = 100_000
"""Modules whose class is named: a module has a tensor or two, or none if it is an activation."""

MAX_SECTIONS = 1000
"""Containers of one file whose purpose is named: a training state has about ten."""

MAX_NOTES = 50
"""Oddities named one by one before they are only counted."""

# --- safetensors -------------------------------------------------------------------------

MAX_SAFETENSORS_HEADER_BYTES = 16 * MIB
"""The library allows 100 MB (`MAX_HEADER_SIZE`, safetensors/src/tensor.rs). 16 MiB is
about 150,000 tensors and keeps the parsed JSON near 100 MB of memory."""

MAX_INDEX_BYTES = 32 * MIB
"""A `*.safetensors.index.json`; DeepSeek-V3's 91,991 tensors take 8.9 MB."""

# --- JSON beside checkpoints -------------------------------------------------------------

MAX_CONFIG_BYTES = 8 * MIB
"""config.json and its like; ImageNet-21k label maps reach 2 MB."""

MAX_YAML_CHARS = 256 << 10
"""Of one YAML document; the longest published ones, model cards with generated results, have
about 100,000, and the settings of a NeMo model with its vocabulary 30,000."""

MAX_YAML_NODES = 20_000
"""Values of one YAML document, those reached through aliases counted each time."""

MAX_YAML_DEPTH = 24
"""Levels of nesting in a YAML document; settings have up to ten."""

MAX_YAML_ALIASES = 64
"""Aliases in one YAML document; people write some, alias bombs need many."""

MAX_TEMPLATE_CHARS = 128 << 10
"""Of all Jinja templates in a file; the longest published chat templates have 30,000."""

MAX_TRAINER_STATE_BYTES = 32 * MIB
"""trainer_state.json carries the whole log history: about 100 bytes per logging step."""

MAX_TRAINING_RECORD_BYTES = 64 * MIB
"""Cairn's own record of a training checkpoint: some 300 bytes per parameter and its states."""

MAX_RUN_RECORD_BYTES = 8 * MIB
"""The record of a training run: some 2 kB for each process that trained."""

MAX_METRICS_LINE_BYTES = MIB
"""What was measured at one step: some 30 bytes a number, so 30,000 numbers."""

MAX_JSON_DIGITS = 40
"""Digits of an integer in strict JSON: transformers writes `int(1e30)`, 31 of them, as the model's
largest length into most of its tokenizer_config.json; and Python's conversion is quadratic."""

# --- zip ---------------------------------------------------------------------------------

MAX_ZIP_MEMBERS = 262_144
"""Members of a torch archive: one per storage. Adam keeps three per parameter."""

MAX_ZIP_DIRECTORY_BYTES = 32 * MIB
"""Central directory: 46 bytes and a name (about 25) per member, with room for zip64 extras."""

MAX_TAR_MEMBERS = 2000
"""Headers of one tar archive: a .nemo holds a dozen files."""

MAX_TAR_RECORD_BYTES = 64 << 10
"""Pax records of one member: a path and some numbers."""

MAX_GRAPH_BYTES = 32 * MIB
"""JSON of an exported program: some 1,500 bytes per node, so 20,000 nodes."""

MAX_SCRIPT_BYTES = 8 * MIB
"""TorchScript source looked into for the names of buffers; whole detectors carry some 500 KB."""

MAX_NESTED_ARCHIVES = 32
"""torch archives inside another archive: an RL algorithm saves up to seven."""

MAX_SMALL_ZIP_DIRECTORY_BYTES = 256 << 10
"""Central directory of archives known to hold few members, looked at to recognise them."""

MAX_INFLATE_RATIO = 100
"""Plain over compressed size of a deflated member; pickles of state dicts reach about 20."""

# --- GGUF --------------------------------------------------------------------------------

MAX_GGUF_PAIRS = 65_536
"""Key-value pairs of one file; llama.cpp's converters write about 40."""

MAX_GGUF_ELEMENTS = 4_000_000
"""Strings in arrays walked over: the largest vocabularies have 260,000 tokens and as many
merges. A quarter of a microsecond each."""

MAX_GGUF_ARRAY_DEPTH = 4
"""Arrays inside arrays: the specification allows any depth, llama.cpp none."""

# --- NumPy -------------------------------------------------------------------------------

MAX_NPY_HEADER_BYTES = 64 << 10
"""NumPy itself stops at 10,000 characters; only records of hundreds of fields are longer."""

# --- protobuf ----------------------------------------------------------------------------

MAX_PROTOBUF_FIELDS = 2_000_000
"""Fields of all messages of one file walked over: an ONNX graph has about 12 per node and 6 per
tensor, the largest exported ones 50,000 nodes. Some 2 microseconds each."""

# --- ONNX --------------------------------------------------------------------------------

MAX_ONNX_DEPTH = 16
"""Graphs inside attributes of graphs: control flow in exported models nests twice or thrice."""

MAX_ONNX_PIECES = 4096
"""Numbers of one tensor that are a field each; packed fields have been written since 2017."""

# --- Core ML -----------------------------------------------------------------------------

MAX_COREML_DEPTH = 16
"""Blocks inside operations of a program: loops and conditionals nest twice or thrice."""

# --- pickle ------------------------------------------------------------------------------

MAX_DATA_PKL_BYTES = 64 * MIB
"""The pickle inside a torch archive: about 120 bytes per tensor, so half a million tensors."""

MAX_LAYOUT_OPCODES = 5_000_000
"""Opcodes interpreted to lay out one archive: about 35 per tensor, 3 to 6 seconds here."""

MAX_PICKLE_OPCODES = 10_000_000
"""Opcodes interpreted when a whole program is wanted, as for scanning."""

MAX_PICKLE_OBJECTS = 3_000_000
"""Containers, calls, marks and memo entries one program may make. Each costs some 100 bytes
however few bytes asked for it; the worst pickles made for the purpose peak at 440 MB."""

MAX_PICKLE_INLINE_BYTES = 64 << 10
"""Strings and bytes longer than this stay in the file and are represented by their span."""

MAX_PICKLE_LONG_BYTES = 4096
"""Bytes of one binary integer; RSA-sized numbers fit, quadratic conversions do not."""

MAX_PICKLE_LINE_BYTES = MIB
"""Bytes of one newline-terminated argument."""

MAX_ANOMALIES = 1000
"""Anomalies recorded for one program before they are only counted."""

# --- architecture ------------------------------------------------------------------------

MAX_TEMPLATES = 10_000
"""Different names, numbers aside, that rules about families look at; a diffusion model with
adapters has about 2,000."""

MAX_SUFFIX_SEGMENTS = 16
"""Segments from the end of a name by which a template is found; rules use up to eight."""

MAX_INDEX_DIGITS = 6
"""Digits of a segment that counts as a layer's number; longer ones are names."""

MAX_TREE_MODULES = 20_000
"""Modules of the tree shown for a model; a 1,000-layer language model has about 15,000."""

MAX_MODULE_DEPTH = 24
"""Depth of the module tree; what lies deeper is counted in the module above. The deepest in
diffusers has 10 levels."""

MAX_MATCHED_PARAMETERS = 5_000_000
"""Parameters gone through to match the optimizers of one checkpoint, some 2 microseconds each: a
thousand optimizer files beside a model of 600 parameters take 600,000."""

MAX_SUFFIX_CHARS = 200
"""Characters of an ending by which a template is found: the longest in a rule has 60."""

MAX_WRAPPER_SEGMENTS = 16
"""Segments that wrappers may have put before all names of a model: torch's and PEFT's add six."""

# --- tensors spread over files -----------------------------------------------------------

MAX_CHUNKS = 1_000_000
"""Chunks of all tensors of one distributed checkpoint. 512 ranks that each hold a part of the
weights and two moments of 600 tensors make 920,000."""

MAX_BOX_COMPARISONS = 1_000_000
"""Pairs of chunks of one tensor compared to find overlaps, about a microsecond each. Along one
axis each chunk meets one other, in a grid as many as lie across."""

MAX_ASSEMBLIES = 200
"""Checkpoints spread over files that one assembler puts together in one folder: the steps of a run.
Each is looked for among all files."""

MAX_INDEXES = 200
"""Indexes of sharded models that are compared with the files beside them."""

MAX_STREAMS = 262_144
"""Archives in one `.distcp` file: one per tensor or object that a rank writes."""
# --- HDF5 --------------------------------------------------------------------------------

MAX_HDF5_STRUCTURE_BYTES = 64 * MIB
"""Object headers, B-trees and heaps read to lay one file out: about 1 KB per group and dataset,
so some 60,000 of them. Nothing is read twice, which ends cycles."""

MAX_HDF5_TREE_DEPTH = 32
"""Levels of one B-tree: each multiplies the entries by 8 at least."""

MAX_HDF5_CHUNKS = 500_000
"""Chunks of all datasets of one file: each becomes a `Piece` of some 300 bytes."""

MAX_UNSTORED_BYTES = 256 * MIB
"""Bytes of a tensor that no byte in the file holds (never written, so zero) before it is only
noted: a few header bytes may declare any shape, and statistics would run through all of it."""

MAX_DEFLATE_RATIO = 1032
"""Plain over compressed size that DEFLATE reaches at most: 258 bytes from two bits."""

MAX_DECODED_AGAIN = 64
"""Times the bytes of a tensor that its encoded pieces may be decoded to, when they are too large
to be remembered: 512 boxes that each need a whole column of 256 MiB would take minutes."""

MIN_FILLS = 2_000_000
MIN_FILL_BYTES = 64
"""Times that a part of a tensor is filled in from a piece, some 10 microseconds each: these, or one
for so many bytes if that is more. A tensor cut by columns over 512 ranks has 2 KiB for each."""

MIN_VALUE_BYTES = 1024 * MIB
MAX_VALUE_RATIO = 100
"""Bytes of all values of a checkpoint that are read or written: these, or so many times the bytes
of its files if that is more. Quantised models grow by 16, tied weights by 2, zeros without end."""

# --- msgpack -----------------------------------------------------------------------------

MAX_MSGPACK_ITEMS = 2_000_000
"""Values and keys of one file: four per tensor at `MAX_TENSORS`, its shape's numbers included;
each takes some 100 bytes and a microsecond or two."""

# --- TensorFlow --------------------------------------------------------------------------

MAX_TABLE_BLOCK_BYTES = 64 * MIB
"""One block of a LevelDB table; TensorFlow cuts them at 256 KiB, its index block at one entry
per such block."""
