//! [`Hub`]: the rooms of this node, and the way out of it. Nothing in it waits for a client: who cannot follow a room
//! learns so from its own [`Seat`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use websocket_proto::Prepared;

use crate::Error;
use crate::messages::{Body, Id, Said, ToPage};
use crate::redis::Redis;

/// The rooms that are always there.
const ROOMS: [&str; 3] = ["lobby", "markets", "rust"];

/// With those that people make: the next one takes the place of an empty one.
pub(crate) const MAX_ROOMS: usize = 100;

/// How many messages a room holds.
pub(crate) const HISTORY: usize = 100;

/// Of how many messages a room remembers the keys: who says something again after so many others may be heard twice.
pub(crate) const MAX_KEYS: usize = 1000;

/// How many messages a reader may fall behind its room.
const MAX_BEHIND: usize = 256;

/// How many names are told of those who are in a room.
const MAX_NAMES: usize = 100;

/// Who comes and goes is told so often, and at least so often to other nodes, which forget a node that is silent.
const ANNOUNCING: Duration = Duration::from_millis(200);
const REPEATING: Duration = Duration::from_secs(4);
const FORGETTING: Duration = Duration::from_secs(12);

pub(crate) struct Hub {
    /// This process's name among others.
    node: String,
    rooms: Mutex<Rooms>,
    redis: Option<Redis>,
    prices: watch::Receiver<Prepared>,
    leaving: watch::Sender<()>,
}

#[derive(Default)]
struct Rooms {
    by_name: BTreeMap<String, Room>,
    /// What is told of all of them.
    list: watch::Sender<Option<Prepared>>,
    /// How many seats there have been: the next one's number.
    seats: u64,
}

struct Room {
    feed: broadcast::Sender<Told>,
    /// What is told of who is in it. Who cannot follow misses what was told before, as with the list of rooms: nobody
    /// who comes and goes all the time can drive out slow readers.
    people: watch::Sender<Option<Prepared>>,
    /// The names of those who are here, by seat.
    here: BTreeMap<u64, String>,
    /// Who is in it by way of other nodes.
    elsewhere: BTreeMap<String, Elsewhere>,
    /// What was said; nothing if Redis has it.
    history: VecDeque<Said>,
    /// The keys of this and of more, in order; nothing if Redis has them.
    keys: VecDeque<String>,
    last: Id,
    /// Whether somebody came or went since it was told.
    changed: bool,
}

struct Elsewhere {
    present: Present,
    heard: Instant,
}

/// Who is in a room by way of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Present {
    pub(crate) count: usize,
    pub(crate) names: BTreeSet<String>,
}

/// What was said, as it goes to everybody in a room.
#[derive(Clone)]
struct Told {
    id: Id,
    message: Prepared,
}

/// # Being in a room
impl Hub {
    /// Enters a room: gives the seat and what was said before; and whether something may be missing in between, if that
    /// is to begin behind a message.
    pub(crate) async fn join(
        self: &Arc<Self>,
        room: &str,
        name: &str,
        last: Option<Id>,
    ) -> Result<(Seat, Vec<Said>, bool), Error> {
        // In this order nothing is lost: what is said from here on comes by the seat. What is said before the history
        // is read comes by both, and the seat passes over it.
        let mut seat = self.sit(room, name)?;
        let mut messages = match &self.redis {
            Some(redis) => redis.history(room).await?,
            None => {
                self.rooms().by_name.get(room).map(|room| room.history.iter().cloned().collect()).unwrap_or_default()
            }
        };
        seat.seen = messages.last().map(|said| said.id);
        let missing = last.is_some_and(|last| !messages.iter().any(|said| said.id == last));
        messages.retain(|said| last.is_none_or(|last| said.id > last));
        Ok((seat, messages, missing))
    }

    fn sit(self: &Arc<Self>, name_of_room: &str, name: &str) -> Result<Seat, Error> {
        if self.redis.as_ref().is_some_and(|redis| !redis.is_heard()) {
            return Err("the other nodes are out of reach".into());
        }
        let mut rooms = self.rooms();
        rooms.seats += 1;
        let number = rooms.seats;
        let list = rooms.list.subscribe();
        let room = rooms.room(name_of_room).ok_or("all rooms are taken")?;
        room.here.insert(number, name.to_owned());
        room.changed = true;
        let (feed, people) = (room.feed.subscribe(), room.people.subscribe());
        let (hub, room, name) = (self.clone(), name_of_room.to_owned(), name.to_owned());
        Ok(Seat { hub, room, name, number, feed, people, list, seen: None })
    }

    /// Says something in a room, to everybody who is in it on any node; or tells that it was said before.
    pub(crate) async fn say(&self, room: &str, body: &Body) -> Result<Outcome, Error> {
        if let Some(redis) = &self.redis {
            // It comes back, as to all nodes, by `hear`.
            return redis.say(room, body).await;
        }
        let mut rooms = self.rooms();
        let room = rooms.room(room).ok_or("the room is gone")?;
        if !body.key.is_empty() {
            // Of those who say something again, most do so soon.
            if room.keys.iter().rev().any(|key| *key == body.key) {
                return Ok(Outcome::Known);
            }
            room.keys.push_back(body.key.clone());
            room.keys.drain(..room.keys.len().saturating_sub(MAX_KEYS));
        }
        let said = Said { id: room.last.next(), body: body.clone() };
        room.tell(&said);
        room.history.push_back(said);
        room.history.drain(..room.history.len().saturating_sub(HISTORY));
        Ok(Outcome::Said)
    }
}

/// What became of something that was to be said.
pub(crate) enum Outcome {
    Said,
    /// It was said before: who says it again did not hear so.
    Known,
}

/// A place in a room; the room is left when it is dropped.
pub(crate) struct Seat {
    hub: Arc<Hub>,
    room: String,
    name: String,
    number: u64,
    feed: broadcast::Receiver<Told>,
    people: watch::Receiver<Option<Prepared>>,
    list: watch::Receiver<Option<Prepared>>,
    seen: Option<Id>,
}

/// The room has said more than is kept for who cannot follow.
pub(crate) struct Unheard;

impl Seat {
    pub(crate) fn room(&self) -> &str {
        &self.room
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What comes next. To drop the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Prepared, Unheard> {
        loop {
            let latest = tokio::select! {
                // What was said first; who is in the room before the list, as it was told.
                biased;
                told = self.feed.recv() => match told {
                    Ok(told) if Some(told.id) <= self.seen => continue,
                    Ok(told) => return Ok(told.message),
                    Err(RecvError::Lagged(_) | RecvError::Closed) => return Err(Unheard),
                },
                Ok(()) = self.people.changed() => &mut self.people,
                Ok(()) = self.list.changed() => &mut self.list,
            };
            if let Some(message) = latest.borrow_and_update().clone() {
                return Ok(message);
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(room) = self.hub.rooms().by_name.get_mut(&self.room) {
            room.here.remove(&self.number);
            room.changed = true;
        }
    }
}

/// # What comes from other nodes
impl Hub {
    /// Something was said in a room, here or elsewhere.
    pub(crate) fn hear(&self, room: &str, said: &Said) {
        if let Some(room) = self.rooms().by_name.get_mut(room) {
            room.tell(said);
        }
    }

    /// Somebody may have come or gone elsewhere.
    pub(crate) fn hear_presence(&self, node: &str, room: &str, present: Present) {
        if node == self.node {
            return;
        }
        let mut rooms = self.rooms();
        if present.count == 0 {
            // No room is made, and none forgotten for it, to have nobody in it.
            if let Some(room) = rooms.by_name.get_mut(room) {
                room.changed |= room.elsewhere.remove(node).is_some();
            }
        } else if let Some(room) = rooms.room(room) {
            let elsewhere = Elsewhere { present, heard: Instant::now() };
            room.changed |= room.elsewhere.get(node).is_none_or(|before| before.present != elsewhere.present);
            room.elsewhere.insert(node.to_owned(), elsewhere);
        }
    }

    /// Has all clients connect again, here or elsewhere, and ask for what they missed.
    pub(crate) fn send_away(&self) {
        self.leaving.send_replace(());
    }
}

/// # Running it
impl Hub {
    pub(crate) fn new(node: String, redis: Option<Redis>, prices: watch::Receiver<Prepared>) -> Arc<Self> {
        let mut rooms = Rooms::default();
        for name in ROOMS {
            rooms.room(name);
        }
        Arc::new(Self { node, rooms: Mutex::new(rooms), redis, prices, leaving: watch::Sender::new(()) })
    }

    /// Starts what it does on its own; comes back when it hears the other nodes.
    pub(crate) async fn start(hub: &Arc<Self>) {
        if let Some(redis) = &hub.redis {
            tokio::spawn(redis.clone().listen(hub.clone()));
            redis.wait_until_heard().await;
        }
        tokio::spawn(hub.clone().announce());
    }

    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    pub(crate) fn prices(&self) -> watch::Receiver<Prepared> {
        self.prices.clone()
    }

    /// Changes when all clients are to go.
    pub(crate) fn leaving(&self) -> watch::Receiver<()> {
        self.leaving.subscribe()
    }

    /// Tells who comes and goes, together, a few times a second: a thousand who come at once are not told to a thousand
    /// each.
    async fn announce(self: Arc<Self>) {
        let mut repeated = Instant::now();
        loop {
            tokio::time::sleep(ANNOUNCING).await;
            let repeats = repeated.elapsed() >= REPEATING;
            if repeats {
                repeated = Instant::now();
                self.rooms().forget();
            }
            let present = self.rooms().announce(repeats);
            let Some(redis) = &self.redis else { continue };
            // If it cannot be told now, it will be in a few seconds.
            if !present.is_empty() {
                let _ = redis.tell_presence(&present).await;
            }
            if repeats {
                let _ = redis.agree_on_secret().await;
            }
        }
    }

    /// No task ever waits while it holds this.
    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether this room is always there.
pub(crate) fn is_lasting(room: &str) -> bool {
    ROOMS.contains(&room)
}

impl Rooms {
    /// The room of this name, which may be made for it; none if there are too many, and somebody in each.
    fn room(&mut self, name: &str) -> Option<&mut Room> {
        if !self.by_name.contains_key(name) && self.by_name.len() >= MAX_ROOMS {
            let is_idle = |(name, room): &(&String, &Room)| room.count() == 0 && !is_lasting(name);
            // Rather one of which all nodes have been told that it is empty.
            let idle = self.by_name.iter().filter(is_idle).min_by_key(|(_, room)| (room.changed, room.last))?.0.clone();
            self.by_name.remove(&idle);
        }
        Some(self.by_name.entry(name.to_owned()).or_insert_with(Room::empty))
    }

    /// Tells each room whose people changed about them, and everybody about the rooms. Gives who is here in those; if
    /// it is time to repeat it, also in all others that matter, by which other nodes learn that this one is alive.
    fn announce(&mut self, repeats: bool) -> Vec<(String, Present)> {
        let (mut has_changed, mut present) = (false, Vec::new());
        for (name, room) in &mut self.by_name {
            let changed = std::mem::take(&mut room.changed);
            if changed {
                room.tell_presence();
            }
            has_changed |= changed;
            if changed || repeats && (is_lasting(name) || !room.here.is_empty()) {
                present.push((name.clone(), room.present()));
            }
        }
        if has_changed {
            let rooms: Vec<_> = self.by_name.iter().map(|(name, room)| (name.as_str(), room.count())).collect();
            self.list.send_replace(Some(Prepared::text(&ToPage::Rooms { rooms: &rooms }.json())));
        }
        present
    }

    /// Forgets nodes that have not been heard of.
    fn forget(&mut self) {
        for room in self.by_name.values_mut() {
            let before = room.elsewhere.len();
            room.elsewhere.retain(|_, elsewhere| elsewhere.heard.elapsed() < FORGETTING);
            room.changed |= room.elsewhere.len() < before;
        }
    }
}

impl Room {
    fn empty() -> Self {
        Self {
            feed: broadcast::Sender::new(MAX_BEHIND),
            people: watch::Sender::new(None),
            here: BTreeMap::new(),
            elsewhere: BTreeMap::new(),
            history: VecDeque::new(),
            keys: VecDeque::new(),
            last: Id::default(),
            changed: true,
        }
    }

    fn tell(&mut self, said: &Said) {
        self.last = said.id;
        let message = Prepared::text(&ToPage::Said(said).json());
        // Nobody may be here.
        let _ = self.feed.send(Told { id: said.id, message });
    }

    fn tell_presence(&self) {
        let elsewhere = self.elsewhere.values().flat_map(|elsewhere| &elsewhere.present.names);
        let names: BTreeSet<_> = self.here.values().chain(elsewhere).map(String::as_str).collect();
        let names: Vec<_> = names.into_iter().take(MAX_NAMES).collect();
        let message = Prepared::text(&ToPage::Present { count: self.count(), names: &names }.json());
        self.people.send_replace(Some(message));
    }

    fn count(&self) -> usize {
        self.here.len() + self.elsewhere.values().map(|elsewhere| elsewhere.present.count).sum::<usize>()
    }

    /// Who is here by way of this node.
    fn present(&self) -> Present {
        let names: BTreeSet<_> = self.here.values().collect();
        Present { count: self.here.len(), names: names.into_iter().take(MAX_NAMES).cloned().collect() }
    }
}

impl Id {
    /// One that is greater, and says what time it is.
    fn next(self) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        let count = if now > self.milliseconds { 0 } else { self.count + 1 };
        Self { milliseconds: now.max(self.milliseconds), count }
    }
}
