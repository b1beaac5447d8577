//! The disk of the state: full for a while, in a running service (F12).

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tributary_harness::skip;

use crate::world::World;
use crate::world::service::{Service, wait_for};

/// A small file system at a folder, until it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where this user may not mount one.
    fn at(folder: PathBuf) -> Option<Self> {
        fs::create_dir_all(&folder).unwrap();
        let mut mount = Command::new("mount");
        let mount = mount.args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(&folder).output();
        mount.is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }

    /// Fills it to the last byte.
    fn fill(&self) {
        let full = fs::write(self.0.join("filler"), vec![0; 32 << 20]);
        assert!(full.is_err(), "the disk takes more than it has");
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

#[test]
fn f12_a_full_state_disk_is_said_once_and_the_work_goes_on_when_there_is_room() {
    let mut world = World::small();
    let Some(disk) = SmallDisk::at(world.path("state")) else { return skip("this user may not mount a disk") };
    fs::write(world.path("my.toml"), "[esr.inbound]\nsettle_seconds = 1\n").unwrap();
    world.flags.extend(["--config".into(), world.path("my.toml").display().to_string()]);
    fs::rename(world.path("inbox"), world.path("later")).unwrap();
    fs::create_dir(world.path("inbox")).unwrap();
    let mut service = Service::start(&world, &[]);
    service.wait_until_said(&["snapshot taken in"]);

    disk.fill();
    for entry in fs::read_dir(world.path("later")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), world.path("inbox").join(entry.file_name())).unwrap();
    }
    service.wait_until_said(&["No space left on device", "free space on that disk"]);
    std::thread::sleep(Duration::from_secs(8));
    disk.free();
    wait_for(&world, "DE_EOE_RTC_20261121_00000001.DAT");
    service.wait_until_said(&["no longer so", "No space left on device"]);

    let (code, said) = service.end("-TERM");
    assert_eq!(code, Some(0), "{said}");
    let troubles: Vec<&str> = said.lines().filter(|line| line.contains("No space left")).collect();
    assert!(troubles.len() <= 10, "each retry says it again: {troubles:#?}");
}
