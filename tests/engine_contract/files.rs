//! Files: finding, describing, reading and sending them.

use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt, symlink};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use downpour::base::Id;
use downpour::engine::operation::{FileKind, SharedFile};
use downpour::engine::{
    Completion, Engine, FileRange, FileSent, Links, Operation, OperationId, Outcome,
};
use rustix::io::Errno as Kernel;

use crate::rig::*;

pub(crate) fn finds_inside_the_root_and_nothing_outside<E: Engine>(mut rig: Rig<E>) {
    let scratch = rig.scratch.path().to_owned();
    let root = scratch.join("root");
    std::fs::create_dir_all(root.join("dir/deep")).unwrap();
    std::fs::write(scratch.join("secret"), "secret").unwrap();
    std::fs::write(root.join("dir/deep/file"), "text").unwrap();
    symlink("../secret", root.join("relative")).unwrap();
    symlink(scratch.join("secret"), root.join("absolute")).unwrap();
    let root = shared_file(&root);
    for path in [
        "..",
        "../secret",
        "dir/../../secret",
        "/etc/passwd",
        "relative",
        "absolute",
    ] {
        let errno = rig.find(&root, path).expect_err(path);
        let refused = [kernel(Kernel::XDEV), kernel(Kernel::LOOP)];
        assert!(refused.contains(&errno), "{path}: {errno:?}");
    }
    assert_eq!(rig.find(&root, "none").unwrap_err(), kernel(Kernel::NOENT));
    assert_eq!(
        rig.find(&root, "dir/deep/file/x").unwrap_err(),
        kernel(Kernel::NOTDIR)
    );
    for path in ["", "dir", "dir/deep/"] {
        let found = rig.find(&root, path).unwrap();
        assert_eq!(rig.stat(&found).kind, FileKind::Directory, "{path:?}");
        let opened = rig.open_found(&found).unwrap();
        assert_eq!(rig.stat(&opened).inode, rig.stat(&found).inode);
    }
    // Often enough that what is known by heart is asked for, too.
    for _ in 0..3 {
        let found = rig.find(&root, "dir/deep/file").unwrap();
        let stat = rig.stat(&found);
        assert_eq!((stat.kind, stat.len), (FileKind::Regular, 4));
        let opened = rig.open_found(&found).unwrap();
        assert_eq!(rig.read(&opened, 0, Vec::with_capacity(10)).0, b"text");
    }
}

pub(crate) fn a_fifo_is_found_and_never_opened<E: Engine>(mut rig: Rig<E>) {
    let path = rig.scratch.path().join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let root = shared_file(rig.scratch.path());
    let found = rig.find(&root, "fifo").unwrap();
    assert_eq!(rig.stat(&found).kind, FileKind::Other);
    // A FIFO with a reader could be opened for writing.
    let writer = File::options()
        .write(true)
        .custom_flags(libc_o_nonblock())
        .open(&path);
    assert_eq!(
        writer.unwrap_err().raw_os_error(),
        Some(Kernel::NXIO.raw_os_error())
    );
}

fn libc_o_nonblock() -> i32 {
    rustix::fs::OFlags::NONBLOCK.bits() as i32
}

pub(crate) fn reads_at_any_offset<E: Engine>(mut rig: Rig<E>) {
    let path = rig.scratch.path().join("file");
    let text = noise(300_000, 6);
    std::fs::write(&path, &text).unwrap();
    let file = shared_file(&path);
    for offset in [0, 1, 4_095, 4_096, 299_999] {
        let (buf, len) = rig.read(&file, offset, Vec::with_capacity(1_000));
        assert!(len >= 1 && len == buf.len());
        assert!(text[offset as usize..].starts_with(&buf));
    }
    for offset in [300_000, 300_001, 1 << 40] {
        assert_eq!(
            rig.read(&file, offset, Vec::with_capacity(10)),
            (Vec::new(), 0)
        );
    }
    assert_eq!(
        rig.read(&file, 0, Vec::new()),
        (Vec::new(), 0),
        "no room, no bytes"
    );
    let mut buf = Vec::with_capacity(10);
    buf.extend_from_slice(b"kept");
    let (buf, len) = rig.read(&file, 100, buf);
    assert_eq!(&buf[..4], b"kept");
    assert_eq!(buf[4..], text[100..100 + len]);
}

pub(crate) fn many_operations_end_once_each<E: Engine>(mut rig: Rig<E>) {
    let root = shared_file(rig.scratch.path());
    for index in 0..200 {
        let id = OperationId(Id {
            index,
            generation: 9,
        });
        let path = CString::new(if index % 2 == 0 { "" } else { "none" }).unwrap();
        let root = Arc::clone(&root);
        let links = Links::Inside;
        rig.engine.start(id, Operation::Find { root, path, links });
    }
    let mut ended = std::collections::HashSet::new();
    while ended.len() < 200 {
        let (id, found) = rig.until("an operation", |completion| match completion {
            Completion::Finished { operation, outcome } => match outcome {
                Outcome::Opened(result) => Some((*operation, result.is_ok())),
                other => panic!("{other:?}"),
            },
            _ => None,
        });
        assert_eq!(found, id.0.index % 2 == 0);
        assert!(ended.insert(id.0.index), "{id:?} ended twice");
    }
}

pub(crate) fn sends_a_file_byte_for_byte<E: Engine>(mut rig: Rig<E>) {
    let path = rig.scratch.path().join("large");
    let text = noise(5_000_001, 7);
    std::fs::write(&path, &text).unwrap();
    let (socket, mut peer) = rig.pair();
    let expected_len = 4 + text.len() - 3 + 4;
    let reader = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        let mut all = vec![0; expected_len];
        peer.read_exact(&mut all).unwrap();
        all
    });
    rig.engine.send(socket, batch_of(b"head"), true);
    assert_eq!(rig.sent(socket).1, Ok(()));
    let range = FileRange {
        file: shared_file(&path),
        offset: 3,
        len: text.len() as u64 - 3,
    };
    rig.send_range(socket, range).unwrap();
    rig.send(socket, b"tail");
    let all = reader.join().unwrap();
    assert!(all.starts_with(b"head") && all.ends_with(b"tail"));
    assert!(
        all[4..all.len() - 4] == text[3..],
        "the bytes are those of the file"
    );
    rig.close(socket, false);
}

pub(crate) fn sends_a_file_while_receiving_over_unix<E: Engine>(mut rig: Rig<E>) {
    let path = rig.scratch.path().join("large");
    let text = noise(3_000_000, 8);
    std::fs::write(&path, &text).unwrap();
    let (socket, mut peer) = rig.unix_pair();
    rig.engine.receive(socket);
    let len = text.len();
    let reader = thread::spawn(move || {
        let mut all = vec![0; len];
        for chunk in all.chunks_mut(100_000) {
            peer.read_exact(chunk).unwrap();
            peer.write_all(b".").unwrap();
        }
        all
    });
    let range = FileRange {
        file: shared_file(&path),
        offset: 0,
        len: len as u64,
    };
    rig.send_range(socket, range).unwrap();
    assert_eq!(rig.receive_exactly(socket, 30), [b'.'; 30]);
    assert!(reader.join().unwrap() == text);
    rig.close(socket, true);
}

pub(crate) fn a_shrunken_file_is_truncated<E: Engine>(mut rig: Rig<E>) {
    let path = rig.scratch.path().join("file");
    std::fs::write(&path, noise(100_000, 9)).unwrap();
    let (socket, mut peer) = rig.pair();
    let range = FileRange {
        file: shared_file(&path),
        offset: 0,
        len: 100_000,
    };
    let file = File::options().write(true).open(&path).unwrap();
    file.set_len(30_000).unwrap();
    assert_eq!(
        rig.send_range(socket, range.clone()),
        Err(FileSent::Truncated)
    );
    peer.read_exact(&mut vec![0; 30_000]).unwrap();
    file.set_len(0).unwrap();
    assert_eq!(rig.engine.send_file(socket, &range), FileSent::Truncated);
    rig.close(socket, false);
}

pub(crate) fn a_cold_file_is_not_waited_for<E: Engine>(mut rig: Rig<E>) {
    // A hole has no pages until somebody reads it; on disks, so no tmpfs.
    let file = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    file.write_all_at(b"end", 8 << 20).unwrap();
    let file: SharedFile = Arc::new(OwnedFd::from(file));
    let range = FileRange {
        file,
        offset: 4 << 20,
        len: 1 << 20,
    };
    let (socket, mut peer) = rig.pair();
    assert_eq!(rig.engine.send_file(socket, &range), FileSent::Cold);
    let reader = thread::spawn(move || {
        let mut all = vec![1; 1 << 20];
        peer.read_exact(&mut all).unwrap();
        all
    });
    rig.send_range(socket, range).unwrap();
    assert!(reader.join().unwrap().iter().all(|byte| *byte == 0));
    rig.close(socket, false);
}
