//! `trishade plan`: the costs of a model, foreseen.

use crate::{
    args::Plan,
    engine,
    failure::Failure,
    terminal::{self, To, escaped},
};
use serde_json::json;
use std::ops::RangeInclusive;
use trishade::{
    fixed::Fixed,
    nn::{self, Reveal, Session},
    party::Net,
};

pub fn run(options: &Plan) -> Result<(), Failure> {
    let graph = engine::graph(&options.model, &[])?;
    let (fixed, net) = (Fixed::new(options.fraction_bits)?, options.net.figures());
    let session = Session::shape_only(fixed)?.with_sign(options.sign.into());
    session.parties().iter().for_each(|p| p.set_net(net));
    let range = options.range_bits.clone().map(RangeInclusive::from);
    let plan = engine::wait(nn::plan_on(&session, &graph, range, options.batch, Reveal::Logits))?;
    let sign = options.sign.into();
    let network = net.map(|net| engine::wait(nn::network_seconds(&graph, options.batch, fixed, sign, net))).transpose()?;
    let computing = options.measure.as_ref().map(|device| measure(&graph, options, device, net)).transpose()?;
    let transport = match (&options.measure, net) {
        (Some(_), Some(net)) => transport(net, plan.rounds, plan.bytes_sent.iter().sum())?,
        _ => None,
    };
    let times = Times { network, computing, transport };
    if options.json {
        print(&plan, &times)
    } else {
        report(&plan, &times, options.batch)
    }
    Ok(())
}

/// Seconds of a batch.
struct Times {
    /// On the network, if the computing took no time.
    network: Option<f64>,
    /// All three parties' computing on one device.
    computing: Option<f64>,
    /// TLS, sockets and threads of all three on this machine.
    transport: Option<f64>,
}

impl Times {
    /// On three machines like this one only if they share it: each has its own otherwise, and it takes less.
    fn total(&self) -> Option<f64> {
        Some(self.network.unwrap_or(0.0) + self.computing? + self.transport.unwrap_or(0.0))
    }
}

#[cfg(feature = "net")]
fn transport(net: Net, rounds: u32, bytes: u64) -> Result<Option<f64>, Failure> {
    let transport = trishade::net::transport::Transport::measure(Some(net))?;
    Ok(Some(transport.seconds(rounds, bytes)))
}

/// None: a program without sockets does not know what they take.
#[cfg(not(feature = "net"))]
fn transport(_: Net, _: u32, _: u64) -> Result<Option<f64>, Failure> {
    Ok(None)
}

/// Seconds of an inference in one process, the second of two.
fn measure(graph: &nn::Graph, options: &Plan, device: &str, net: Option<Net>) -> Result<f64, Failure> {
    let device = engine::device(device, 0, false)?;
    let session =
        Session::new([device.clone(), device.clone(), device], Fixed::new(options.fraction_bits)?)?.with_sign(options.sign.into());
    session.parties().iter().for_each(|p| p.set_net(net));
    let model = session.load(graph)?;
    let zeros = vec![0.0; options.batch * graph.input_size()];
    let run = || engine::wait(session.infer(&model, &zeros, options.batch, Reveal::Logits, |_| {}));
    run()?;
    Ok(run()?.cost.seconds.total())
}

fn print(plan: &nn::estimate::Plan, times: &Times) {
    let layers: Vec<_> = plan
        .layers
        .iter()
        .map(|l| {
            json!({"name": l.name, "kind": l.kind, "shape": l.shape.extents(), "rounds": l.rounds, "bytes_sent": l.bytes_sent,
            "range_bits": {"pool": l.bits.pool, "relu": l.bits.relu}})
        })
        .collect();
    let object = json!({
        "layers": layers,
        "rounds": plan.rounds,
        "bytes_sent": plan.bytes_sent,
        "signs": {"six": plan.signs.six, "five": plan.signs.five, "short": plan.signs.short},
        "bytes_from_owners": plan.bytes_from_owners,
        "memory": plan.memory,
        "seconds": {"network": times.network, "computing": times.computing, "transport": times.transport, "total": times.total()},
        "memory_of_one_process": plan.process,
        "parties": 3,
    });
    terminal::print_json(&object);
}

fn report(plan: &nn::estimate::Plan, times: &Times, batch: usize) {
    let mut rows = vec![["layer", "does", "output", "rounds", "party 0", "party 1", "party 2"].map(String::from).to_vec()];
    for layer in &plan.layers {
        let mut row = vec![escaped(&layer.name), escaped(&layer.kind), layer.shape.to_string(), layer.rounds.to_string()];
        row.extend(layer.bytes_sent.map(terminal::bytes));
        rows.push(row);
    }
    To::Output.columns(&rows);
    terminal::show("");
    let mut rows = vec![
        ("batch", batch.to_string()),
        ("rounds", format!("{}, the one that reveals included", plan.rounds)),
        ("signs", plan.signs.to_string()),
        ("sent by the parties", plan.bytes_sent.map(terminal::bytes).join(" + ")),
        ("shared out by the owners", terminal::bytes(plan.bytes_from_owners)),
        ("memory of each party", plan.memory.map(terminal::bytes).join(", ")),
        ("all in one process", terminal::bytes(plan.process)),
    ];
    let times = [
        ("time on the network", times.network),
        ("computing of all three", times.computing),
        ("TLS and sockets of all three", times.transport),
        ("time, all on this machine", times.total()),
    ];
    rows.extend(times.into_iter().filter_map(|(name, seconds)| Some((name, terminal::seconds(seconds?)))));
    To::Output.table(&rows);
}
