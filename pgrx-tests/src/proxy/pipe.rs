//! One direction of one connection: a thread that reads, a queue of what is on its way, a thread that writes.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Instant;

use super::{End, Last, Shared};

const BLOCK: usize = 64 * 1024;
/// As much as a line with a delay holds; the sender waits when it is full.
const LONG: usize = 64 * 1024 * 1024;
/// The same without a delay, and when nothing passes: enough to keep both threads at work.
const SHORT: usize = 4 * BLOCK;

/// What was read, and when. An empty one is the end.
struct Block {
    came: Instant,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Queue {
    blocks: VecDeque<Block>,
    bytes: usize,
    /// Nobody writes any more.
    closed: bool,
}

pub struct Pipe {
    shared: Arc<Shared>,
    last: Last,
    speaker: End,
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Pipe {
    /// Forwards until either side closes, then closes both.
    pub fn lay(shared: Arc<Shared>, last: Last, speaker: End, from: TcpStream, to: TcpStream) {
        let pipe = Arc::new(Self {
            shared,
            last,
            speaker,
            queue: Mutex::default(),
            changed: Condvar::new(),
        });
        let Ok(source) = from.try_clone() else { return };
        let reader = Arc::clone(&pipe);
        thread::spawn(move || reader.read(&source));
        thread::spawn(move || {
            pipe.write(&to);
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        });
    }

    fn read(&self, mut from: &TcpStream) {
        let mut buffer = vec![0; BLOCK];
        loop {
            // a connection that breaks ends as one that is closed
            let count = from.read(&mut buffer).unwrap_or(0);
            let block = Block {
                came: Instant::now(),
                bytes: buffer[..count].to_vec(),
            };
            if count > 0 {
                self.shared.note(&self.last, self.speaker);
            }
            if !self.push(block) || count == 0 {
                return;
            }
        }
    }

    fn write(&self, mut to: &TcpStream) {
        loop {
            let block = self.front();
            let is_end = block.bytes.is_empty();
            let passes = self.shared.may_pass(block.came, is_end);
            if !passes || is_end || to.write_all(&block.bytes).is_err() {
                self.lock().closed = true;
                self.changed.notify_all();
                return;
            }
            // only now there is room for more: what is being written is still on its way
            self.lock().bytes -= block.bytes.len();
            self.changed.notify_all();
        }
    }

    /// Puts a block into the queue, when there is room for it. False: it has nowhere to go.
    fn push(&self, block: Block) -> bool {
        let mut queue = self.lock();
        while !queue.closed && queue.bytes > 0 && queue.bytes + block.bytes.len() > self.limit() {
            queue = self
                .changed
                .wait(queue)
                .expect("no thread panics with the lock");
        }
        queue.bytes += block.bytes.len();
        queue.blocks.push_back(block);
        self.changed.notify_all();
        !queue.closed
    }

    /// Takes the oldest block, when there is one.
    fn front(&self) -> Block {
        let queue = self.lock();
        let mut queue = self
            .changed
            .wait_while(queue, |queue| queue.blocks.is_empty())
            .expect("no thread panics with the lock");
        queue
            .blocks
            .pop_front()
            .expect("the queue was waited for until it had one")
    }

    fn limit(&self) -> usize {
        if self.shared.is_long() { LONG } else { SHORT }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("no thread panics with the lock")
    }
}
