"""The rules, one per file."""

from cairn.plugins import Registry
from cairn.scanner.rule import Rule
from cairn.scanner.rules.active_text import ActiveTexts
from cairn.scanner.rules.archive_encryption import ArchiveEncryption
from cairn.scanner.rules.archive_names import ArchiveNames
from cairn.scanner.rules.carried_pickles import CarriedPickles
from cairn.scanner.rules.disguises import Disguises
from cairn.scanner.rules.git_control import GitControls
from cairn.scanner.rules.graph_operations import GraphOperations
from cairn.scanner.rules.install_sources import InstallSources
from cairn.scanner.rules.keras_objects import KerasObjects
from cairn.scanner.rules.known_files import KnownFiles
from cairn.scanner.rules.malformed import Malformed
from cairn.scanner.rules.not_read import NotRead
from cairn.scanner.rules.pickle_calls import PickleCalls
from cairn.scanner.rules.pickle_expansion import PickleExpansion
from cairn.scanner.rules.pickle_imports import PickleImports
from cairn.scanner.rules.pickle_oddities import PickleOddities
from cairn.scanner.rules.pickle_references import PickleReferences
from cairn.scanner.rules.programs import Programs
from cairn.scanner.rules.python_calls import PythonCalls
from cairn.scanner.rules.references import References
from cairn.scanner.rules.script_operators import ScriptOperators
from cairn.scanner.rules.secrets import Secrets
from cairn.scanner.rules.settings_code import SettingsCode
from cairn.scanner.rules.shell_commands import ShellCommands
from cairn.scanner.rules.templates import Templates

RULES: Registry[Rule] = Registry(
    "rule",
    [
        KnownFiles(),
        PickleImports(),
        PickleCalls(),
        PickleOddities(),
        PickleReferences(),
        PickleExpansion(),
        CarriedPickles(),
        ScriptOperators(),
        ArchiveNames(),
        ArchiveEncryption(),
        SettingsCode(),
        Templates(),
        References(),
        Programs(),
        Disguises(),
        ActiveTexts(),
        GitControls(),
        Secrets(),
        KerasObjects(),
        GraphOperations(),
        PythonCalls(),
        ShellCommands(),
        InstallSources(),
        Malformed(),
        NotRead(),
    ],
)

__all__ = ["RULES"]
