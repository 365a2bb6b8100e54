//! Two owners share their numbers among three parties, who multiply them and learn nothing.

use trishade::{
    Error,
    device::Device,
    fixed::Fixed,
    party::{Party, Transport, run},
    protocol as mpc,
    shape::Shape,
};

fn main() -> Result<(), Error> {
    let fixed = Fixed::default();
    let device = Device::cpu(0)?;
    let parties = Party::local([device.clone(), device.clone(), device], fixed.fraction_bits())?;

    // each owner sends two seeds and one tensor
    let shape = Shape::new([3])?;
    let prices = mpc::share(&shape, &fixed.encode("prices", &[1.5, -2.25, 100.0])?)?;
    let amounts = mpc::share(&shape, &fixed.encode("amounts", &[2.0, 4.0, 0.125])?)?;

    // the same program at each party
    let parts = pollster::block_on(run(&parties, Transport::Handover, |p| async {
        let (x, y) = (mpc::input(p, &prices[p.number()]), mpc::input(p, &amounts[p.number()]));
        let product = mpc::split(p, mpc::product(p, &x, &y)).await;
        let z = mpc::activate(p, &product, fixed.fraction_bits()).await; // truncation and ReLU in one
        p.device().download(&[&mpc::reveal(p, &z)]).await
    }))?;
    let [a, b, c] = parts.map(|part| part.map(|mut words| words.remove(0)));
    println!("max(prices x amounts, 0) = {:?}", fixed.decode_all(&mpc::combine([&a?, &b?, &c?])));
    println!("rounds: {}", parties[1].meter().rounds);
    Ok(())
}
