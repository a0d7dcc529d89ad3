//! The rounds: start, look, write, kill.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use downcity_db::Engine;

use crate::check;
use crate::faults::Fault;
use crate::load::{Target, Writer};
use crate::node::{Node, Place};
use crate::random::{Random, is_long_run};

/// Rounds on one database; the long run has many databases.
const ROUNDS: usize = 50;
const ROUNDS_PER_AUDIT: usize = 5;
const LONG_RUN: usize = 1_000;
const WRITERS: usize = 6;
/// A start may take this long, whatever it finds.
const LONGEST_START: Duration = Duration::from_secs(2);
/// The node is killed after at most this many answers.
const MOST_ANSWERS: u64 = 240;

#[test]
fn sqlite() {
    run(Engine::Sqlite);
}

#[test]
fn postgres() {
    run(Engine::Postgres);
}

fn run(engine: Engine) {
    let seed = Random::seed();
    println!("{engine:?}: DOWNCITY_TEST_SEED={seed}");
    let mut random = Random::new(seed);
    let series = if is_long_run() { LONG_RUN / ROUNDS } else { 1 };
    for number in 0..series {
        let place = Place::new(engine);
        let mut done = Series::new(&place, random.fork());
        let result = catch_unwind(AssertUnwindSafe(|| (0..ROUNDS).for_each(|n| done.round(n))));
        let log = place.log();
        if let Err(failure) = result {
            let tail: Vec<_> = log.lines().rev().take(40).collect();
            let tail: Vec<_> = tail.into_iter().rev().collect();
            println!("the end of the log:\n{}", tail.join("\n"));
            resume_unwind(failure);
        }
        done.end();
        assert!(!log.contains("panicked"), "{log}");
        done.starts.sort_unstable();
        println!(
            "{engine:?} {}/{series}: {ROUNDS} rounds, {} answers; starts: median {:?}, longest {:?}",
            number + 1,
            done.answers,
            done.starts[done.starts.len() / 2],
            done.starts.last().unwrap(),
        );
    }
}

/// The rounds on one database.
struct Series<'a> {
    place: &'a Place,
    random: Random,
    writers: Vec<Writer>,
    starts: Vec<Duration>,
    answers: u64,
    /// The last row of the audit trail that was checked.
    audited: Option<String>,
}

impl<'a> Series<'a> {
    fn new(place: &'a Place, mut random: Random) -> Self {
        let writers = (0..WRITERS).map(|number| Writer::new(number, random.fork())).collect();
        Self { place, random, writers, starts: Vec::new(), answers: 0, audited: None }
    }

    /// Starts a node and finds what the round before has left, then writes until the node is killed.
    fn round(&mut self, number: usize) {
        // A start is a time to die as well, the first start above all.
        if number == 0 || self.random.one_in(5) {
            let node = self.place.spawn();
            std::thread::sleep(Duration::from_micros(self.random.below(250_000)));
            node.kill();
        }
        let (node, address) = self.start();
        check::everything(&address, &mut self.writers);
        if number.is_multiple_of(ROUNDS_PER_AUDIT) {
            self.audit();
        }
        let cut = self.random.one_in(6).then(|| self.random.below(MOST_ANSWERS / 2));
        let dying = Arc::new(AtomicBool::new(false));
        let (answers, counted) = channel();
        let target =
            Target { address, dying: Arc::clone(&dying), may_fail: cut.is_some(), answers };
        std::thread::scope(|scope| {
            for writer in &mut self.writers {
                let target = target.clone();
                std::thread::Builder::new()
                    .spawn_scoped(scope, move || writer.run(&target, number))
                    .unwrap();
            }
            drop(target);
            if let Some(after) = cut {
                self.answers += count(&counted, after);
                self.answers += trouble(self.place, &mut self.random, &counted);
            }
            self.answers += count(&counted, self.random.below(MOST_ANSWERS));
            // Not always right after an answer.
            std::thread::sleep(Duration::from_micros(self.random.below(4_000)));
            dying.store(true, Ordering::SeqCst);
            node.kill();
        });
    }

    /// A last start that finds the work of the last round.
    fn end(&mut self) {
        let (_node, address) = self.start();
        check::everything(&address, &mut self.writers);
        self.audit();
    }

    /// The audit trail is whole, and goes on from where it was.
    fn audit(&mut self) {
        self.audited = Some(self.place.verify_audit(self.audited.as_deref()));
    }

    fn start(&mut self) -> (Node, String) {
        self.place.settle();
        let mut node = self.place.spawn();
        let (address, took) = node.ready().expect("the node starts");
        assert!(took <= LONGEST_START, "a start took {took:?}");
        self.starts.push(took);
        (node, address)
    }
}

/// What the database does to the node while the writers go on: lost connections, or a disk that fails
/// for a while. Says how many answers came meanwhile.
fn trouble(place: &Place, random: &mut Random, answers: &Receiver<()>) -> u64 {
    let Some(disk) = &place.disk else {
        place.cut_connections();
        return 0;
    };
    disk.fail(Fault::any(random));
    let meanwhile = count(answers, random.below(40));
    disk.heal();
    meanwhile
}

/// Waits for this many answers, or for the end of all writers, who then say what is wrong.
fn count(answers: &Receiver<()>, wanted: u64) -> u64 {
    (0..wanted).take_while(|_| answers.recv_timeout(Duration::from_secs(30)).is_ok()).count() as u64
}
