#!/bin/sh
# A C++ compiler for musl, made of the machine's own g++, Debian's musl-dev, and libstdc++ built from Debian's copy
# of GCC's source: Debian itself has no C++ library for musl. `./dev musl` fetches the packages and calls this.
#
# Usage: toolchain.sh MUSL-DEV.deb GCC-SOURCE.deb SHA256-OF-GCC'S-ARCHIVE DIRECTORY
#
# DIRECTORY must not exist; it appears complete or not at all. The caller sees to it that only one builds it. In it:
# bin/TRIPLET-gcc and bin/TRIPLET-g++, which link static position-independent executables and nothing else.
set -eu

[ $# -eq 4 ] || { echo 'usage: toolchain.sh MUSL-DEV.deb GCC-SOURCE.deb SHA256 DIRECTORY' >&2; exit 2; }
musl_deb=$1 gcc_deb=$2 archive_sha256=$3 out=$4
source_dir=$(cd "$(dirname "$0")" && pwd)
machine=$(uname -m)
triplet=$machine-linux-musl
new=$out.new

die() { printf 'toolchain: %s\n' "$*" >&2; exit 1; }

# quietly NAME COMMAND...: its output goes to NAME.log, and is shown when it fails.
quietly() {
    log=$new/tmp/$1.log; shift
    "$@" >"$log" 2>&1 || { tail -n 40 "$log" >&2; die "failed: $*"; }
}

# The C library as packaged; the kernel's headers are the machine's own, which every Debian g++ has brought along.
unpack_libc() {
    dpkg-deb -x "$musl_deb" "$new/tmp/musl"
    mv "$new/tmp/musl/usr/lib/$triplet" "$new/lib"
    mv "$new/tmp/musl/usr/include/$triplet" "$new/include"
    for name in linux asm-generic mtd; do
        [ ! -d "/usr/include/$name" ] || cp -R "/usr/include/$name" "$new/include/$name"
    done
    cp -RL "/usr/include/$machine-linux-gnu/asm" "$new/include/asm"
}

# Everything is passed as options, in front of which those of the caller are searched. The places are found from the
# script's own, since the directory is renamed in the end.
write_compiler() {  # NAME
    cat >"$new/bin/$triplet-$1" <<END
#!/bin/sh
here=\${0%/*}/..
exec $1 "\$@" -B"\$here/lib" -static-pie -fPIE -nostdinc -D_GLIBCXX_GTHREAD_USE_WEAK=0 \\
    $2 -isystem "\$here/include" -isystem "$(gcc -print-file-name=include)"
END
    chmod 755 "$new/bin/$triplet-$1"
}

# Debian's libgcc_eh asks the C library for _dl_find_object, which musl does not have.
complete_libc() {
    "$new/bin/$triplet-gcc" -O2 -Wall -Wextra -Werror -c "$source_dir/dl_find_object.c" -o "$new/tmp/dl_find_object.o"
    ar q "$new/lib/libc.a" "$new/tmp/dl_find_object.o"
}

unpack_gcc() {
    dpkg-deb -x "$gcc_deb" "$new/tmp/gcc"
    archive=$(ls "$new"/tmp/gcc/usr/src/gcc-*/gcc-*.tar.xz)
    actual=$(sha256sum "$archive" | cut -d' ' -f1)
    [ "$actual" = "$archive_sha256" ] || die "$gcc_deb: the archive in it is not the one this project pinned.
    expected SHA-256 $archive_sha256
    found    SHA-256 $actual"
    top=${archive##*/} top=${top%.tar.xz} top=${top%-dfsg}
    quietly unpack tar -xf "$archive" -C "$new/tmp" --no-same-owner --exclude='*/testsuite/[0-9]*' --exclude='*/doc/html' \
        "$top/libstdc++-v3" "$top/libgcc" "$top/include" "$top/libiberty" "$top/config" "$top/gcc/BASE-VER" \
        "$top/gcc/DATESTAMP" "$top/config.sub" "$top/config.guess" "$top/config-ml.in" "$top/install-sh" \
        "$top/ltmain.sh" "$top/missing" "$top/depcomp" "$top/mkinstalldirs"
    gcc_source=$new/tmp/$top
    # What GCC's own build would generate; libstdc++'s configure includes it.
    ln -s gthr-posix.h "$gcc_source/libgcc/gthr-default.h"
}

build_libstdcxx() {
    mkdir "$new/tmp/build"
    cd "$new/tmp/build"
    quietly configure "$gcc_source/libstdc++-v3/configure" --build="$machine-linux-gnu" --host="$triplet" \
        --prefix="$new" --libdir="$new/lib" --with-gxx-include-dir="$new/include/c++" --disable-shared --disable-multilib \
        --disable-nls --disable-libstdcxx-pch --disable-dependency-tracking \
        CC="$new/bin/$triplet-gcc" CXX="$new/bin/$triplet-g++" \
        CFLAGS='-O2 -ffunction-sections -fdata-sections' CXXFLAGS='-O2 -ffunction-sections -fdata-sections'
    # Installed only when all is built: headers found twice would hide those of the C library.
    for part in include libsupc++ src; do quietly "$part" make -j"$(nproc)" -C "$part"; done
    for part in include libsupc++ src; do quietly "install-$part" make -C "$part" install; done
    cd /
}

[ ! -e "$out" ] || die "$out is there already"
trap 'rm -rf "$new"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
rm -rf "$new"
mkdir -p "$new/bin" "$new/tmp"
unpack_libc
write_compiler gcc ''
write_compiler g++ "-isystem \"\$here/include/c++\" -isystem \"\$here/include/c++/$triplet\""
complete_libc
unpack_gcc
build_libstdcxx
rm -rf "$new"/tmp "$new"/lib/*.la  # the latter name the directory before its renaming
mv "$new" "$out"
