# What building and testing need, and how it is installed: read by ./run and ./check, not run by itself.
# Debian 12 and 13 know all of these names.

build_packages="gcc make pkg-config libc6-dev libevent-dev libc-ares-dev libconfuse-dev libidn2-dev libxxhash-dev
	libseccomp-dev libssl-dev libjson-c-dev libgdbm-dev uthash-dev"
test_packages="check python3 python3-yaml python3-dkim python3-nacl python3-authres openssl mandoc swaks iproute2 util-linux mount e2fsprogs dpkg procps chromium"

# The words of $* that are not installed yet.
missing() {
	for package in "$@"; do
		dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || printf '%s ' "$package"
	done
}

# Runs a command as root, or says what root would have to do.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		echo "$0: this needs root, and there is no sudo here. As root, run: $*" >&2
		return 1
	fi
}

# Installs what is missing of $*, saying so first.
install_packages() {
	command -v apt-get >/dev/null || {
		echo "$0: no apt-get here; install what these Debian packages hold, then run make: $*" >&2
		return 1
	}
	wanted=$(missing "$@")
	[ -n "$wanted" ] || return 0
	echo "Installing with apt-get: $wanted"
	export DEBIAN_FRONTEND=noninteractive
	# A fresh machine has no package lists; an old one may have lists that name packages that are gone.
	as_root apt-get install -y -qq --no-install-recommends $wanted >/dev/null 2>&1 ||
		{ as_root apt-get update -qq && as_root apt-get install -y -qq --no-install-recommends $wanted >/dev/null; }
}

# Started as root, minimta runs each process as a user of its own.
make_users() {
	for name in smtpd resolver lookup queue delivery logger virtual; do
		id "_minimta_$name" >/dev/null 2>&1 && continue
		echo "Creating the system user _minimta_$name"
		as_root useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "_minimta_$name"
	done
}
