//! Copies of a database in use.

use super::*;

#[test]
fn a_copy_is_whole_while_others_write() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let conversation = rig.conversation(ann.id, 1);
    for number in 0..50 {
        rig.message(conversation, ann.id, &format!("message {number}"));
    }
    let folder = rig.location.folder.join("copy");
    std::fs::create_dir_all(&folder).unwrap();
    let location = Location {
        database: super::super::database_path(&folder),
        folder,
    };
    thread::scope(|scope| {
        let (stop, stopped) = channel::<()>();
        let rig = &rig;
        scope.spawn(move || {
            while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                rig.message(conversation, ann.id, "later");
            }
        });
        std::fs::write(&location.database, b"").unwrap();
        rig.back_up(&location.database).unwrap();
        drop(stop);
    });
    let copy = Store::open(&location).unwrap();
    let count = "SELECT count(*) FROM messages WHERE content LIKE 'message %'";
    let kept: i64 = copy
        .read(|read| read.0.query_row(count, (), |row| row.get(0)).map_err(failed))
        .unwrap();
    assert_eq!(kept, 50);
    copy.close();
}

#[test]
fn a_copy_is_made_of_nothing_but_what_can_be_written() {
    let rig = Rig::new();
    // A folder stands where the copy should.
    assert!(rig.back_up(&rig.location.folder).is_err());
}
