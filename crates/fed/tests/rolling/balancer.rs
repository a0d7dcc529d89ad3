//! A small balancer: gives each connection to the next node that says it is ready.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::http::{Client, Send};

/// How often each node is asked whether it is ready.
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Default)]
struct Slot {
    address: Mutex<Option<String>>,
    ready: AtomicBool,
}

pub(crate) struct Balancer {
    pub(crate) address: String,
    slots: Arc<Vec<Slot>>,
    done: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Balancer {
    pub(crate) fn start(nodes: usize) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap().to_string();
        let slots: Arc<Vec<Slot>> = Arc::new((0..nodes).map(|_| Slot::default()).collect());
        let done = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for index in 0..nodes {
            let (slots, done) = (slots.clone(), done.clone());
            threads.push(spawn("look", move || look(&slots[index], &done)));
        }
        let (theirs, end) = (slots.clone(), done.clone());
        threads.push(spawn("balancer", move || accept(&socket, &theirs, &end)));
        Self { address, slots, done, threads }
    }

    /// Says where a node listens now.
    pub(crate) fn set(&self, index: usize, address: String) {
        *self.slots[index].address.lock().unwrap() = Some(address);
    }

    pub(crate) fn is_ready(&self, index: usize) -> bool {
        self.slots[index].ready.load(Ordering::SeqCst)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.done.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            // A test that already fails says why by itself.
            let _ = thread.join();
        }
    }
}

pub(crate) fn spawn<T: std::marker::Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + std::marker::Send + 'static,
) -> JoinHandle<T> {
    thread::Builder::new().name(name.to_owned()).spawn(work).unwrap()
}

fn look(slot: &Slot, done: &AtomicBool) {
    while !done.load(Ordering::SeqCst) {
        let address = slot.address.lock().unwrap().clone();
        let ready = address.is_some_and(|address| {
            let answer = Client::new(&address).call("/readyz", Send::default());
            answer.is_some_and(|answer| answer.status == 200)
        });
        slot.ready.store(ready, Ordering::SeqCst);
        thread::sleep(LOOK_EVERY);
    }
}

fn accept(socket: &TcpListener, slots: &[Slot], done: &AtomicBool) {
    let next = AtomicUsize::new(0);
    while !done.load(Ordering::SeqCst) {
        match socket.accept() {
            Ok((client, _)) => {
                client.set_nonblocking(false).unwrap();
                if let Some(server) = connect(slots, &next) {
                    join(client, server);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(2));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn connect(slots: &[Slot], next: &AtomicUsize) -> Option<TcpStream> {
    for _ in 0..slots.len() {
        let slot = &slots[next.fetch_add(1, Ordering::SeqCst) % slots.len()];
        if slot.ready.load(Ordering::SeqCst)
            && let Some(address) = slot.address.lock().unwrap().clone()
            && let Ok(stream) = TcpStream::connect(address)
        {
            return Some(stream);
        }
    }
    None
}

/// Copies both ways until both sides have ended.
fn join(client: TcpStream, server: TcpStream) {
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (from_client, to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    spawn("up", move || copy(from_client, to_server));
    spawn("down", move || copy(server, client));
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 8 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
