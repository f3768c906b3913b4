"""Settings of a Cairn installation, and the folders of the person who runs it.

Settings are imported when they are first asked for: commands about files need none, and start in
half the time.
"""

from typing import TYPE_CHECKING

from cairn.config.folders import hf_cache, user_folder
from cairn.late_names import imported_late
from cairn.provenance.state_folder import user_state_folder

if TYPE_CHECKING:
    from cairn.config.settings import Settings, load_settings

__all__ = ["Settings", "hf_cache", "load_settings", "user_folder", "user_state_folder"]

__getattr__ = imported_late(__name__, {"settings": ("Settings", "load_settings")})
