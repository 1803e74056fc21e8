# Runs a command as in a container made from an image: its /srv, /etc and data folders in place of this machine's, an
# empty /tmp, no process but its own. Network, Python and the rest of the disk are this machine's. Nothing of it is seen
# outside. Needs new mount and process namespaces. Arguments: the image's folder, the user, the working folder, command…
set -e
image=$1 user=$2 place=$3
shift 3
mkdir -p /srv
mount --bind "$image/etc" /etc
mount --bind "$image/srv" /srv
mount --bind "$image/lib" /var/lib
mount --bind "$image/cache" /var/cache
# Python and its environment may lie below /tmp, or in a folder that only root may enter: of it only they stay.
mount -t tmpfs -o mode=0755 tmpfs /mnt
mkdir /mnt/python /mnt/environment
mount --bind "$PYTHON" /mnt/python
mount --bind "$ENVIRONMENT" /mnt/environment
if [ -n "$HIDDEN" ]; then mount -t tmpfs -o mode=0755 tmpfs "$HIDDEN"; fi
mount -t tmpfs -o mode=1777 tmpfs /tmp
if [ ! -e "$PYTHON/bin" ]; then mkdir -p "$PYTHON"; mount --bind /mnt/python "$PYTHON"; fi
if [ ! -e "$ENVIRONMENT/bin" ]; then mkdir -p "$ENVIRONMENT"; mount --bind /mnt/environment "$ENVIRONMENT"; fi
mount -t proc proc /proc
unset HIDDEN PYTHON ENVIRONMENT
mkdir -p "$place"
cd "$place"
# In place of this shell: it is the container's first process, and gets the signals.
if [ "$user" = root ]; then exec "$@"; fi
exec setpriv --reuid "${user%:*}" --regid "${user#*:}" --clear-groups --no-new-privs --bounding-set -all "$@"
