//! Connection of a client: what the client may do. Requests go on to the engine; queries and uploads do not.

use super::{
    events::{ClientHandle, Event, RequestPermits},
    quotas::ClientQuota,
    refusal::Refusal,
    state::ServerState,
    upload::UploadSlot,
};
use crate::{
    Error, Result,
    net::{
        budget::Permit,
        config::Client,
        control::{Control, InferRequest, RefusalReason, Upload},
        hello::clock,
        link::{Handshake, InboundPolicy, Incoming, Link},
        model_id::{check_id, name_in},
    },
};
use std::sync::Arc;

/// Connections of clients at one time.
const MAX_CONNECTIONS: usize = 1024;

/// Bytes of an echo.
const MAX_ECHO: usize = 4 << 20;

/// Connection of a client.
pub struct ClientConnection {
    state: Arc<ServerState>,
    handle: ClientHandle,
    upload: UploadSlot,
}

impl ClientConnection {
    /// Starts the link to a client that has said HELLO, or refuses it for want of a place.
    pub fn start(state: &Arc<ServerState>, mut handshake: Handshake, quota: &Arc<ClientQuota>) -> Result<()> {
        let limits = &state.setup.config.limits;
        let mut full = |text: String| {
            handshake.send(&Control::refused(None, RefusalReason::TooMuch, &text))?;
            Err(Error::Input(text))
        };
        if state.connections().len() >= MAX_CONNECTIONS {
            return full(format!("{MAX_CONNECTIONS} clients are connected already"));
        }
        let Some(place) = quota.connections.try_acquire(1) else {
            return full(format!("client '{}' has {} connections already", quota.name(), limits.client_connections));
        };
        handshake.options.record_limit = limits.client_bytes;
        handshake.options.inbound = InboundPolicy::Reject(quota.bytes.clone());
        handshake.options.outbound_limit = limits.client_bytes;
        tracing::info!(client = quota.name(), address = handshake.address(), "connected");
        let number = state.draw_number();
        let unstarted = handshake.into_link()?;
        let link = unstarted.link();
        let handle = ClientHandle { connection: number, quota: quota.clone(), link: link.clone() };
        let mut connection = Self { state: state.clone(), handle, upload: UploadSlot::default() };
        let (end, quota) = (state.clone(), quota.clone());
        state.connections().insert(number, link.clone());
        let started = unstarted.start(
            move |incoming, permit| connection.on_record(incoming, permit),
            move |error| {
                end.connections().remove(&number);
                end.tell(Event::ClientLost { connection: number });
                tracing::info!(client = quota.name(), why = %error, "disconnected");
                drop(place);
            },
        );
        if started.is_err() {
            state.connections().remove(&number);
        }
        if state.is_stopping() {
            link.close("it is being stopped");
        }
        started
    }

    /// Handles a record. An error ends the connection; a refusal does not.
    fn on_record(&mut self, incoming: Incoming, permit: Option<Permit>) -> Result<()> {
        // back-pressure: stop reading requests while this client's replies are unread
        self.link().wait_drained();
        match incoming {
            Incoming::Alive => self.check_upload_timeout(),
            Incoming::Control(Control::Echo { bytes }) if bytes.len() <= MAX_ECHO => {
                self.reply(&Control::EchoReply { bytes, clock: clock() })
            }
            Incoming::Control(Control::GetStatus) => {
                let status = self.state.status().clone();
                self.reply(&Control::Status(status))
            }
            incoming => match self.handle.quota.client.clone() {
                Some(client) => self.on_client_record(&client, incoming, permit),
                None => Err(Error::Peer("asked for more than a probe may".into())),
            },
        }
    }

    fn on_client_record(&mut self, client: &Client, incoming: Incoming, permit: Option<Permit>) -> Result<()> {
        match incoming {
            Incoming::Control(Control::GetModels) => self.reply_or_refuse(self.models(client)),
            Incoming::Control(Control::GetArchitecture { id }) => self.reply_or_refuse(self.architecture(client, &id)),
            Incoming::Control(Control::Upload(upload)) => {
                let begun = self.upload.begin(&self.state, client, &upload);
                self.reply_or_refuse(begun.map(|version| Control::Begun { version }))
            }
            Incoming::Control(Control::Number { version }) => {
                let numbered = self.upload.number(version);
                self.refuse_if(numbered)
            }
            Incoming::Control(Control::Abandon) => {
                self.upload.abandon();
                Ok(())
            }
            Incoming::Piece(bytes) => {
                let added = self.upload.add_piece(&bytes);
                self.refuse_if(added)
            }
            Incoming::Control(Control::EndUpload { digest }) => self.end_upload(&digest),
            Incoming::Control(Control::Commit) => self.commit(),
            Incoming::Control(Control::Infer(request)) => self.infer(client, request, permit),
            incoming @ (Incoming::Control(Control::Cancel { .. } | Control::GetTokens { .. }) | Incoming::Parcels(_)) => {
                self.state.tell(Event::FromClient { client: self.handle.clone(), incoming, permit });
                Ok(())
            }
            _ => Err(Error::Peer("sent a message that no client sends".into())),
        }
    }

    fn link(&self) -> &Link {
        &self.handle.link
    }

    fn reply(&self, control: &Control) -> Result<()> {
        self.link().control(control);
        Ok(())
    }

    fn refuse(&self, Refusal { reason, text }: &Refusal) -> Result<()> {
        self.link().refuse(None, *reason, text);
        Ok(())
    }

    fn refuse_if(&self, outcome: std::result::Result<(), Refusal>) -> Result<()> {
        outcome.or_else(|refusal| self.refuse(&refusal))
    }

    fn reply_or_refuse(&self, reply: std::result::Result<Control, Refusal>) -> Result<()> {
        match reply {
            Ok(control) => self.reply(&control),
            Err(refusal) => self.refuse(&refusal),
        }
    }

    /// Models that this client may use; all of them if it may upload.
    fn models(&self, client: &Client) -> std::result::Result<Control, Refusal> {
        let mut models = self.state.store.list().map_err(Refusal::of(RefusalReason::Failed))?;
        models.retain(|model| client.upload || client.may_use(name_in(&model.id)));
        Ok(Control::Models(models))
    }

    fn architecture(&self, client: &Client, id: &str) -> std::result::Result<Control, Refusal> {
        let allowed = client.upload || client.may_use(name_in(id));
        if !allowed || !self.state.store.has(id) {
            let text = format!("there is no model {id} for client '{}'", client.name);
            return Err(Refusal::new(RefusalReason::NoSuchModel, text));
        }
        let (head, _) = self.state.store.read(id).map_err(Refusal::of(RefusalReason::Failed))?;
        let Upload { meaning, architecture, .. } = head.upload;
        Ok(Control::Architecture { version: head.version, meaning, architecture })
    }

    /// Hands a request to the engine, unless it can be refused before its shares are there: then no peer hears of it.
    fn infer(&self, client: &Client, request: InferRequest, message: Option<Permit>) -> Result<()> {
        match self.admit(client, &request) {
            Ok(permit) => {
                let permits = RequestPermits { _message: message, request: permit };
                self.state.tell(Event::Asked { client: self.handle.clone(), request, permits });
            }
            Err(Refusal { reason, text }) => self.link().refuse(Some(request.request), reason, &text),
        }
        Ok(())
    }

    fn admit(&self, client: &Client, request: &InferRequest) -> std::result::Result<Permit, Refusal> {
        check_id(&request.model).map_err(|_| Refusal::new(RefusalReason::NoSuchModel, "there is no model of such a name here"))?;
        self.handle.quota.check_model(&request.model)?;
        let limits = &self.state.setup.config.limits;
        let (count, lead) = (request.count, request.lead);
        if count == 0 || count as usize > limits.batch || lead > 2 {
            let text = format!("{count} inputs under lead {lead}: at most {} inputs, leads 0 to 2", limits.batch);
            return Err(Refusal::new(RefusalReason::BadRequest, text));
        }
        let busy = || {
            let text = format!("{} requests of client '{}' are under way", limits.client_requests, client.name);
            Refusal::new(RefusalReason::TooMuch, text)
        };
        self.handle.quota.requests.try_acquire(1).ok_or_else(busy)
    }

    fn end_upload(&mut self, digest: &[u8; 32]) -> Result<()> {
        match self.upload.end(digest) {
            Ok(true) => self.reply(&Control::Stored),
            // of an upload that was refused
            Ok(false) => Ok(()),
            Err(refusal) => self.refuse(&refusal),
        }
    }

    fn commit(&mut self) -> Result<()> {
        let committed = self.upload.commit().map(|(id, version)| {
            tracing::info!(model = id, version, "uploaded");
            Control::Committed
        });
        self.reply_or_refuse(committed)
    }

    /// Ends the connection if an upload has stalled.
    fn check_upload_timeout(&self) -> Result<()> {
        match self.upload.has_stalled(self.state.setup.config.limits.request()) {
            true => Err(Error::Peer("has stalled: nothing more of the model came in time".into())),
            false => Ok(()),
        }
    }
}
