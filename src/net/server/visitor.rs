//! A client's connection: what it may do, and uploads, which go to the disk and past the engine.

use super::{Event, House, hello::clock, size};
use crate::{
    Error, Result,
    net::{
        config::Client,
        fresh::Fresh,
        link::{Incoming, Link},
        store::Writing,
        wire::{self, Control, Upload, Why, pack, unpack},
    },
    nn::Architecture,
};
use std::sync::{Arc, PoisonError, atomic::Ordering};

/// Connections of clients at one time.
const MOST_VISITORS: usize = 1024;

/// One connection.
pub(super) struct Visitor {
    upload: Option<Writing>,
    house: Arc<House>,
    number: u64,
    /// None: a party that only measures the way.
    client: Option<Arc<Client>>,
}

impl Visitor {
    pub(super) fn start(house: &Arc<House>, fresh: Fresh, name: &str, client: Option<Client>) -> Result<()> {
        if house.visitors().len() >= MOST_VISITORS {
            return Err(Error::Input(format!("{MOST_VISITORS} clients are connected already")));
        }
        let number = house.numbers.fetch_add(1, Ordering::Relaxed);
        tracing::info!(client = name, address = fresh.address(), "connected");
        let mut visitor = Self { upload: None, house: house.clone(), number, client: client.map(Arc::new) };
        let (end, name) = (house.clone(), name.to_owned());
        let link = fresh.start(
            move |incoming, link| visitor.take(incoming, link),
            move |error| {
                end.visitors().remove(&number);
                end.tell(Event::VisitorGone { visitor: number });
                tracing::info!(client = name, why = %error, "disconnected");
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
    fn take(&mut self, incoming: Incoming, link: &Link) -> Result<()> {
        let refuse = |(why, error): (Why, Error)| link.control(&Control::Refused { request: None, why, text: error.to_string() });
        match incoming {
            Incoming::Control(Control::Echo { bytes }) => link.control(&Control::Echoed { bytes, clock: clock() }),
            Incoming::Control(Control::Status) => {
                let status = self.house.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
                link.control(&Control::StatusIs(status));
            }
            _ if self.client.is_none() => return Err(Error::Peer("asked for more than a probe may".into())),
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
                    Ok(writing) => self.upload = Some(writing),
                    Err(refused) => refuse(refused),
                }
            }
            Incoming::Piece(bytes) => {
                // of an upload that was refused, pieces may still be on their way
                if let Some(upload) = &mut self.upload
                    && let Err(error) = upload.piece(&bytes)
                {
                    self.upload = None;
                    refuse((Why::Failed, error));
                }
            }
            Incoming::Control(Control::Sealed { digest }) => {
                if let Some(mut upload) = self.upload.take() {
                    match upload.seal(&digest) {
                        Ok(()) => {
                            self.upload = Some(upload);
                            link.control(&Control::Stored);
                        }
                        Err(error) => refuse((Why::Failed, error)),
                    }
                }
            }
            Incoming::Control(Control::Commit) => match self.upload.take().map(Writing::commit) {
                Some(Ok(id)) => {
                    tracing::info!(model = id, "uploaded");
                    link.control(&Control::Committed);
                }
                Some(Err(error)) => refuse((Why::Failed, error)),
                None => refuse((Why::BadRequest, Error::Input("there is nothing to keep".into()))),
            },
            asked @ (Incoming::Control(Control::Ask(_) | Control::Cancel { .. } | Control::Tickets { .. }) | Incoming::Parcels(_)) => {
                if let Some(client) = self.client.clone() {
                    self.house.budget.take(size(&asked));
                    self.house.tell(Event::FromVisitor { visitor: self.number, client, link: link.clone(), incoming: asked });
                }
            }
            Incoming::Control(_) => return Err(Error::Peer("sent what a client does not send".into())),
        }
        Ok(())
    }

    fn client(&self) -> Result<&Client> {
        self.client.as_deref().ok_or_else(|| Error::Misuse("a probe is no client".into()))
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
        Ok(Control::ArchitectureIs { architecture: self.house.store.read(id)?.0.architecture })
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
            let architecture: Architecture = unpack(&upload.architecture)?;
            architecture.check(house.setup.cluster.fixed()?)?;
            // the same in other bytes would be another model
            if *pack(&architecture)? != upload.architecture {
                return Err(Error::Model("an architecture that is not written as it should be".into()));
            }
            Ok(())
        };
        check().map_err(|e| (Why::BadRequest, e))?;
        house.store.begin(upload).map_err(|e| (if matches!(e, Error::Input(_)) { Why::TooMuch } else { Why::Failed }, e))
    }
}

/// The name in a model's id.
pub(super) fn name(id: &str) -> &str {
    id.split_once('@').map_or(id, |(name, _)| name)
}
