# Runs a function's process with what Lambda leaves of a machine: a read-only disk, its package in /var/task, Lambda's
# own libraries in /var/runtime, a small /tmp, no /dev/shm, no process but its own. Nothing of it is seen outside.
# Needs new mount and process namespaces. Arguments: package, runtime folder, MiB of /tmp, command…
set -e
task=$1 runtime=$2 tmp_mib=$3
shift 3
mount -t tmpfs tmpfs /mnt
mkdir /mnt/task /mnt/runtime /mnt/dev
mount --bind "$task" /mnt/task
mount --bind "$runtime" /mnt/runtime
mount --bind /dev /mnt/dev
mount -t tmpfs tmpfs /var
mkdir /var/task /var/runtime
mount --bind /mnt/task /var/task
mount --bind /mnt/runtime /var/runtime
for each in /var/task /var/runtime; do mount -o remount,ro,bind "$each"; done
mount -t tmpfs tmpfs /dev
for each in null zero full random urandom; do
  touch "/dev/$each"
  mount --bind "/mnt/dev/$each" "/dev/$each"
done
ln -s /proc/self/fd /dev/fd
ln -s /proc/self/fd/1 /dev/stdout
ln -s /proc/self/fd/2 /dev/stderr
mount -t proc proc /proc
umount /mnt/dev /mnt/runtime /mnt/task /mnt
mount --bind / /
mount -o remount,ro,bind /
for each in /var /dev; do mount -o remount,ro "$each"; done
mount -t tmpfs -o "size=${tmp_mib}m" tmpfs /tmp
cd /var/task
# Not in place of this shell: the first process of a namespace ignores most signals, as no other does.
"$@" &
wait $!
