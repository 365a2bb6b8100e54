//! A client's connection: what it may do, and uploads, which go to the disk and past the engine.

use super::{Account, Event, House, hello::clock};
use crate::{
    Error, Result,
    net::{
        config::Client,
        control::{Ask, Control, Upload, Why},
        fresh::{Fresh, Intake},
        link::Link,
        reading::Incoming,
        room::Held,
        store::Writing,
        wire::{self, check_id, name, pack, unpack},
    },
    nn::{Program, Reveal},
};
use std::{
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Instant,
};

/// Connections of clients at one time.
const MOST_VISITORS: usize = 1024;

/// Bytes that are echoed at one time.
const ECHO: usize = 4 << 20;

/// One connection.
pub(super) struct Visitor {
    /// And when the last piece of it came.
    upload: Option<(Writing, Instant)>,
    house: Arc<House>,
    number: u64,
    account: Arc<Account>,
}

impl Visitor {
    pub(super) fn start(house: &Arc<House>, mut fresh: Fresh, account: &Arc<Account>) -> Result<()> {
        let limits = &house.setup.config.limits;
        let mut full = |text: String| {
            fresh.send(&Control::refused(None, Why::TooMuch, &text))?;
            Err(Error::Input(text))
        };
        if house.visitors().len() >= MOST_VISITORS {
            return full(format!("{MOST_VISITORS} clients are connected already"));
        }
        let Some(connection) = account.connections.take(1) else {
            return full(format!("client '{}' has {} connections already", account.name(), limits.client_connections));
        };
        fresh.options.limit = limits.client_bytes;
        fresh.options.intake = Intake::Refuses(account.bytes.clone());
        fresh.options.unread = limits.client_bytes;
        let number = house.numbers.fetch_add(1, Ordering::Relaxed);
        tracing::info!(client = account.name(), address = fresh.address(), "connected");
        let mut visitor = Self { upload: None, house: house.clone(), number, account: account.clone() };
        let (end, account) = (house.clone(), account.clone());
        let link = fresh.start(
            move |incoming, held, link| visitor.take(incoming, held, link),
            move |error| {
                end.visitors().remove(&number);
                end.tell(Event::VisitorGone { visitor: number });
                tracing::info!(client = account.name(), why = %error, "disconnected");
                drop(connection);
            },
        )?;
        house.visitors().insert(number, link.clone());
        // it may be over already, and the party too
        if link.ended() {
            house.visitors().remove(&number);
        }
        if house.stopping.load(Ordering::Relaxed) {
            link.close("it is being stopped");
        }
        Ok(())
    }

    /// An error ends the connection; what is only refused does not.
    fn take(&mut self, incoming: Incoming, held: Option<Held>, link: &Link) -> Result<()> {
        let refuse = |(why, error): (Why, Error)| link.refuse(None, why, &error.to_string());
        // whoever does not read what it has asked for asks for nothing more
        link.drained();
        match incoming {
            Incoming::Alive => {
                let patience = self.house.setup.config.limits.request();
                if self.upload.as_ref().is_some_and(|(_, since)| since.elapsed() > patience) {
                    return Err(Error::Peer("has stalled: nothing more of the model came in time".into()));
                }
            }
            Incoming::Control(Control::Echo { bytes }) if bytes.len() <= ECHO => link.control(&Control::Echoed { bytes, clock: clock() }),
            Incoming::Control(Control::Status) => {
                let status = self.house.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
                link.control(&Control::StatusIs(status));
            }
            _ if self.account.client.is_none() => return Err(Error::Peer("asked for more than a probe may".into())),
            Incoming::Control(Control::Models) => match self.models() {
                Ok(models) => link.control(&models),
                Err(error) => refuse((Why::Failed, error)),
            },
            Incoming::Control(Control::Architecture { id }) => match self.architecture(&id) {
                Ok(architecture) => link.control(&architecture),
                Err(error) => refuse((Why::NoSuchModel, error)),
            },
            Incoming::Control(Control::Upload(upload)) => {
                self.upload = None;
                match self.begin(&upload) {
                    Ok(writing) => self.upload = Some((writing, Instant::now())),
                    Err(refused) => refuse(refused),
                }
            }
            Incoming::Piece(bytes) => {
                // of an upload that was refused, pieces may still be on their way
                if let Some((upload, since)) = &mut self.upload {
                    *since = Instant::now();
                    if let Err(error) = upload.piece(&bytes) {
                        self.upload = None;
                        refuse((Why::Failed, error));
                    }
                }
            }
            Incoming::Control(Control::Sealed { digest }) => {
                if let Some((mut upload, _)) = self.upload.take() {
                    match upload.seal(&digest) {
                        Ok(()) => {
                            self.upload = Some((upload, Instant::now()));
                            link.control(&Control::Stored);
                        }
                        Err(error) => refuse((Why::Failed, error)),
                    }
                }
            }
            Incoming::Control(Control::Commit) => match self.upload.take().map(|(upload, _)| upload.commit()) {
                Some(Ok(id)) => {
                    tracing::info!(model = id, "uploaded");
                    link.control(&Control::Committed);
                }
                Some(Err(error)) => refuse((Why::Failed, error)),
                None => refuse((Why::BadRequest, Error::Input("there is nothing to keep".into()))),
            },
            Incoming::Control(Control::Ask(ask)) => match self.may_ask(&ask) {
                Ok(request) => self.house.tell(Event::Asked { visitor: self.number, link: link.clone(), ask, held: [held, Some(request)] }),
                Err((why, text)) => link.refuse(Some(ask.request), why, &text),
            },
            asked @ (Incoming::Control(Control::Cancel { .. } | Control::Tickets { .. }) | Incoming::Parcels(_)) => {
                let (account, link) = (self.account.clone(), link.clone());
                self.house.tell(Event::FromVisitor { visitor: self.number, account, link, incoming: asked, held });
            }
            Incoming::Control(_) => return Err(Error::Peer("sent what a client does not send".into())),
        }
        Ok(())
    }

    fn client(&self) -> Result<&Client> {
        self.account.client.as_ref().ok_or_else(|| Error::Misuse("a probe is no client".into()))
    }

    /// What can be said of a request before its shares are there; no peer hears of one that is refused here.
    fn may_ask(&self, ask: &Ask) -> std::result::Result<Held, (Why, String)> {
        let failed = |why: Why| move |error: Error| (why, error.to_string());
        let client = self.client().map_err(failed(Why::Unauthorised))?;
        check_id(&ask.model).map_err(|_| (Why::NoSuchModel, "there is no model of such a name here".into()))?;
        self.account.permit(&ask.model)?;
        let limits = &self.house.setup.config.limits;
        if ask.count == 0 || ask.count as usize > limits.batch || ask.lead > 2 {
            let text = format!("{} inputs under lead {}: at most {} inputs, leads 0 to 2", ask.count, ask.lead, limits.batch);
            return Err((Why::BadRequest, text));
        }
        let busy = || (Why::TooMuch, format!("{} requests of client '{}' are under way", limits.client_requests, client.name));
        self.account.requests.take(1).ok_or_else(busy)
    }

    /// Those that this client may ask for, or that it may have uploaded.
    fn models(&self) -> Result<Control> {
        let client = self.client()?;
        let mut models = self.house.store.list()?;
        models.retain(|model| client.upload || client.may_use(name(&model.id)));
        Ok(Control::ModelList(models))
    }

    fn architecture(&self, id: &str) -> Result<Control> {
        let client = self.client()?;
        if !client.upload && !client.may_use(name(id)) {
            return Err(Error::Input(format!("there is no model {id} for client '{}'", client.name)));
        }
        Ok(Control::ArchitectureIs { architecture: self.house.store.read(id)?.0.upload.architecture })
    }

    fn begin(&self, upload: &Upload) -> std::result::Result<Writing, (Why, Error)> {
        let client = self.client().map_err(|e| (Why::Unauthorised, e))?;
        if !client.upload {
            let text = format!("client '{}' may not upload models: cluster.toml does not say upload = true", client.name);
            return Err((Why::Unauthorised, Error::Input(text)));
        }
        let house = &self.house;
        let check = || {
            wire::check_name(&upload.name)?;
            let program: Program = unpack(&upload.architecture)?;
            house.setup.cluster.suits(&program)?;
            // the same in other bytes would be another model
            if *pack(&program)? != upload.architecture {
                return Err(Error::Model("an architecture that is not written as it should be".into()));
            }
            let [model, request] = house.foresee(&program, 1, Reveal::Logits)?;
            let limit = house.memory.limit();
            if model.saturating_add(request) > limit {
                let text = format!("the model holds {model} bytes and a request {request} more: this party has {limit}");
                return Err(Error::Input(text));
            }
            Ok(())
        };
        check().map_err(|e| (Why::BadRequest, e))?;
        house
            .store
            .begin(upload, client.certificate)
            .map_err(|e| (if matches!(e, Error::Input(_)) { Why::TooMuch } else { Why::Failed }, e))
    }
}
