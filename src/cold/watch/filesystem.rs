//! File systems whose changes the kernel does not report: those that other machines, or a program
//! of this one, change without it; and those whose files have no changes at all.

use rustix::fs::fstatfs;
use rustix::io::Errno;
use std::os::fd::AsFd;

/// By the number that `statfs(2)` gives, with the name that `mount(8)` shows.
const SILENT: &[(u32, &str)] = &[
    (0x6969, "nfs"),
    (0x517b, "smb"),
    (0xfe53_4d42, "smb2"),
    (0xff53_4d42, "cifs"),
    (0x6573_5546, "fuse"),
    (0x0102_1997, "9p"),
    (0x786f_4256, "vboxsf"),
    (0xbacb_acbc, "vmhgfs"),
    (0x7c7c_6673, "prl_fs"),
    (0x5346_414f, "afs"),
    (0x6b41_4653, "kafs"),
    (0x00c3_6400, "ceph"),
    (0x0116_1970, "gfs2"),
    (0x7461_636f, "ocfs2"),
    (0x0bd0_0bd0, "lustre"),
    (0x4750_4653, "gpfs"),
    (0x2003_0528, "orangefs"),
    (0x7375_7245, "coda"),
    (0x564c, "ncp"),
    (0x00c0_ffee, "hostfs"),
    (0x9fa0, "proc"),
    (0x6265_6572, "sysfs"),
    (0x6462_6720, "debugfs"),
    (0x7472_6163, "tracefs"),
    (0x0027_e0eb, "cgroup"),
    (0x6367_7270, "cgroup2"),
];

/// The name of the file system of a directory, if its changes are not reported.
pub(super) fn silent(directory: impl AsFd) -> Result<Option<&'static str>, Errno> {
    // The type is as wide as a register, and signed on some machines: the number has 32 bits.
    let found = fstatfs(directory)?.f_type as u32;
    Ok(name_of(found))
}

fn name_of(found: u32) -> Option<&'static str> {
    let silent = SILENT.iter().find(|(number, _)| *number == found);
    silent.map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn what_reports_is_told_from_what_does_not() {
        let silent_of = |path| silent(File::open(path).unwrap()).unwrap();
        assert_eq!(silent_of("/proc"), Some("proc"));
        assert_eq!(silent_of("/sys"), Some("sysfs"));
        assert_eq!(name_of(0xff53_4d42), Some("cifs"));
        for (number, name) in [
            (0xef53, "ext4"),
            (0x0102_1994, "tmpfs"),
            (0x794c_7630, "overlay"),
        ] {
            assert_eq!(name_of(number), None, "{name}");
        }
    }
}
