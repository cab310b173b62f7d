//! Where a pet lives: what its owner says, what others may know of it, and how pets near a place
//! are found. Knows no SQL.
//!
//! Everything public (the point that is shown, distances, who is found near what) is made from
//! the *shown* point alone, which depends on the pet and on the cell of about a kilometre that
//! the exact one lies in. So no number of questions tells more than the cell.

use std::f64::consts::PI;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::id::PetId;

/// A point on the earth, in degrees (WGS 84).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coordinates {
    latitude: f64,
    longitude: f64,
}

impl Coordinates {
    /// `None` unless the latitude is from -90 to 90 and the longitude from -180 to 180.
    #[must_use]
    pub fn new(latitude: f64, longitude: f64) -> Option<Self> {
        // A NaN is in no range. Minus zero would be another text for the same place.
        let valid = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
        valid.then_some(Self { latitude: latitude + 0.0, longitude: longitude + 0.0 })
    }

    /// Degrees north of the equator.
    #[must_use]
    pub fn latitude(self) -> f64 {
        self.latitude
    }

    /// Degrees east of Greenwich.
    #[must_use]
    pub fn longitude(self) -> f64 {
        self.longitude
    }

    /// Kilometres to `other` along the surface of a sphere: at most 0.6 % off (haversine formula).
    #[must_use]
    pub fn km_to(self, other: Self) -> f64 {
        let half = |from: f64, to: f64| ((to - from).to_radians() / 2.0).sin().powi(2);
        let slant = self.latitude.to_radians().cos() * other.latitude.to_radians().cos();
        let square = half(self.latitude, other.latitude) + slant * half(self.longitude, other.longitude);
        2.0 * EARTH_RADIUS_KM * square.clamp(0.0, 1.0).sqrt().asin()
    }

    /// The same point on a sphere of radius 1.
    pub(super) fn on_unit_sphere(self) -> [f64; 3] {
        let (latitude, longitude) = (self.latitude.to_radians(), self.longitude.to_radians());
        [latitude.cos() * longitude.cos(), latitude.cos() * longitude.sin(), latitude.sin()]
    }

    /// What others may know of the place of this pet: a point in the same cell, always the same
    /// one, and another for every pet, so that pets of one cell don't lie on top of each other.
    pub(super) fn shown(self, pet: PetId) -> Self {
        let last_row = 180.0 / CELL_DEGREES - 1.0;
        let row = ((self.latitude + 90.0) / CELL_DEGREES).floor().clamp(0.0, last_row);
        let middle = (row + 0.5) * CELL_DEGREES - 90.0;
        // As many cells around the earth as make them about as wide as they are high.
        let columns = (360.0 / CELL_DEGREES * middle.to_radians().cos()).floor().max(1.0);
        let column = ((self.longitude + 180.0) / 360.0 * columns).floor().clamp(0.0, columns - 1.0);
        let digest = Sha256::new()
            .chain_update(pet.as_bytes())
            .chain_update(row.to_be_bytes())
            .chain_update(column.to_be_bytes())
            .finalize();
        let fraction = |at: usize| f64::from(u16::from_be_bytes([digest[at], digest[at + 1]])) / 65_536.0;
        // Five decimals are a metre.
        let rounded = |degrees: f64| (degrees * 1e5).round() / 1e5;
        Self {
            latitude: rounded((row + fraction(0)) * CELL_DEGREES - 90.0),
            longitude: rounded((column + fraction(2)) / columns * 360.0 - 180.0),
        }
    }

    /// The band of latitudes that the point lies in: what the index begins with.
    pub(super) fn band(self) -> i64 {
        band(self.latitude)
    }
}

impl FromStr for Coordinates {
    type Err = String;

    /// Reads `52.52,13.405`.
    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text
            .split_once(',')
            .and_then(|(latitude, longitude)| Self::new(latitude.trim().parse().ok()?, longitude.trim().parse().ok()?));
        numbers.ok_or_else(|| "must be a latitude from -90 to 90 and a longitude from -180 to 180: 52.52,13.405".into())
    }
}

impl fmt::Display for Coordinates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.latitude, self.longitude)
    }
}

/// Pets around a place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Near {
    /// Around here.
    pub center: Coordinates,
    radius_km: f64,
}

impl Near {
    /// The radius when none is given, in kilometres.
    pub const DEFAULT_RADIUS_KM: f64 = 50.0;

    /// What the radius may be, in kilometres.
    pub const RADII_KM: RangeInclusive<f64> = 1.0..=500.0;

    /// `None` unless the radius is one of [`Near::RADII_KM`].
    #[must_use]
    pub fn new(center: Coordinates, radius_km: f64) -> Option<Self> {
        Self::RADII_KM.contains(&radius_km).then_some(Self { center, radius_km })
    }

    /// The rings around the center out to the radius, nearest first. Whoever wants the nearest
    /// few rarely has to look further than the first ones, however many pets the last one has.
    pub(super) fn rings(self) -> Vec<Ring> {
        let outer = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0].into_iter().filter(|km| *km < self.radius_km);
        let mut inner = None;
        outer
            .chain([self.radius_km])
            .map(|km| Ring { within: self.area(km), from: inner.replace(square(km)), to: square(km) })
            .collect()
    }

    /// Everything out to the radius.
    pub(super) fn circle(self) -> Ring {
        Ring { within: self.area(self.radius_km), from: None, to: square(self.radius_km) }
    }

    /// The bands and longitudes that hold everything within `km`: the bounding box of a circle on
    /// a sphere, as in Jan Philip Matuschek, "Finding points within a distance of a
    /// latitude/longitude using bounding coordinates".
    fn area(self, km: f64) -> Area {
        // A centimetre more, for what gets lost in rounding.
        let angle = (km + 1e-5) / EARTH_RADIUS_KM;
        let (south, north) = (self.center.latitude - angle.to_degrees(), self.center.latitude + angle.to_degrees());
        let latitudes = (south.max(-90.0), north.min(90.0));
        let bands = (band(latitudes.0)..=band(latitudes.1)).collect();
        // A pole within the circle has all longitudes.
        if south <= -90.0 || north >= 90.0 {
            return Area { bands, latitudes, longitudes: [Some((-180.0, 180.0)), None] };
        }
        let width = (angle.sin() / self.center.latitude.to_radians().cos()).clamp(-1.0, 1.0).asin().to_degrees();
        let (west, east) = (self.center.longitude - width, self.center.longitude + width);
        let longitudes = if west < -180.0 {
            [Some((west + 360.0, 180.0)), Some((-180.0, east))]
        } else if east > 180.0 {
            [Some((west, 180.0)), Some((-180.0, east - 360.0))]
        } else {
            [Some((west, east)), None]
        };
        Area { bands, latitudes, longitudes }
    }
}

/// Places at some distance from a center, and where the index has them.
pub(super) struct Ring {
    pub(super) within: Area,
    /// The square of the straight line on the unit sphere: more than this...
    pub(super) from: Option<f64>,
    /// ... and at most this.
    pub(super) to: f64,
}

/// Holds all of a circle and a bit more.
pub(super) struct Area {
    pub(super) bands: Vec<i64>,
    /// South to north. Bands are high, and most of a small circle's has other latitudes.
    pub(super) latitudes: (f64, f64),
    /// One range of longitudes, or two where the circle crosses the date line.
    pub(super) longitudes: [Option<(f64, f64)>; 2],
}

/// Mean radius (IUGG).
const EARTH_RADIUS_KM: f64 = 6371.0088;
/// The height of a cell: 1.11 km.
const CELL_DEGREES: f64 = 0.01;
/// Bands of latitude: 0.1 degrees or 11 km high.
const BANDS_PER_DEGREE: f64 = 10.0;

#[allow(clippy::cast_possible_truncation, reason = "from -900 to 900")]
fn band(latitude: f64) -> i64 {
    (latitude * BANDS_PER_DEGREE).floor() as i64
}

/// The square of the straight line between two points `km` apart, on the unit sphere.
fn square(km: f64) -> f64 {
    let half = (km / EARTH_RADIUS_KM / 2.0).clamp(0.0, PI / 2.0);
    (2.0 * half.sin()).powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(latitude: f64, longitude: f64) -> Coordinates {
        Coordinates::new(latitude, longitude).unwrap()
    }

    /// Points that differ by a fixed sequence, thickest where it gets difficult.
    fn points(count: u32) -> impl Iterator<Item = Coordinates> {
        (0..count).map(|n| {
            let spread = |factor: f64| (f64::from(n) * factor).fract() * 2.0 - 1.0;
            let (a, b) = (spread(0.754_877_666), spread(0.569_840_291));
            match n % 4 {
                0 => at(a * 90.0, b * 180.0),
                1 => at(90.0 - a.abs() * 6.0, b * 180.0),
                2 => at(a * 90.0, (180.0 - b.abs() * 5.0) * b.signum()),
                _ => at(-90.0 + a.abs() * 6.0, b * 180.0),
            }
        })
    }

    #[test]
    fn distances_are_those_of_the_map() {
        let (berlin, paris) = (at(52.52, 13.405), at(48.8566, 2.3522));
        assert!((berlin.km_to(paris) - 877.5).abs() < 1.0);
        assert!(at(0.0, 179.9).km_to(at(0.0, -179.9)) < 23.0);
        assert!(at(89.9, 0.0).km_to(at(89.9, 180.0)) < 23.0);
    }

    #[test]
    fn what_is_shown_is_near_and_tells_nothing_but_the_cell() {
        let pet = PetId::new();
        for exact in points(4000) {
            let shown = exact.shown(pet);
            assert!(Coordinates::new(shown.latitude, shown.longitude).is_some(), "{exact} {shown}");
            assert!(exact.km_to(shown) < 1.8, "{exact} {shown}");
        }
        // Two corners of one cell.
        assert_eq!(at(52.5201, 13.4060).shown(pet), at(52.5299, 13.4120).shown(pet));
        assert_ne!(at(52.5201, 13.4101).shown(pet), at(52.5201, 13.4101).shown(PetId::new()));
        assert_ne!(at(52.5201, 13.4101).shown(pet), at(52.5301, 13.4101).shown(pet));
    }

    #[test]
    fn an_area_holds_everything_within_the_radius_also_at_the_date_line_and_the_poles() {
        let mut inside = 0;
        for (n, center) in points(300).enumerate() {
            let radius = [1.0, 20.0, 120.0, 500.0][n % 4];
            let circle = Near::new(center, radius).unwrap().circle();
            // All around the world, and some that are certainly close.
            let close = (0..40).filter_map(|k| {
                let (turn, reach) = (f64::from(k) * 0.7, radius / 111.0 * f64::from(k) / 40.0);
                let longitude = center.longitude + reach * turn.sin() / center.latitude.to_radians().cos().max(0.02);
                Coordinates::new(center.latitude + reach * turn.cos(), (longitude + 540.0).rem_euclid(360.0) - 180.0)
            });
            for point in points(300).chain(close) {
                let within = center.km_to(point) <= radius;
                let [x, y, z] = center.on_unit_sphere();
                let [px, py, pz] = point.on_unit_sphere();
                let square = (px - x).powi(2) + (py - y).powi(2) + (pz - z).powi(2);
                if (center.km_to(point) - radius).abs() > 1e-6 {
                    assert_eq!(square <= circle.to, within, "{center} {point} {radius}");
                }
                let longitudes = circle.within.longitudes.iter().flatten();
                let (south, north) = circle.within.latitudes;
                let indexed = circle.within.bands.contains(&point.band())
                    && (south..=north).contains(&point.latitude)
                    && longitudes.into_iter().any(|(west, east)| (*west..=*east).contains(&point.longitude));
                assert!(indexed || !within, "{center} {point} {radius}");
                inside += u32::from(within);
            }
        }
        assert!(inside > 5000, "only {inside} points tested anything");
    }

    #[test]
    fn rings_follow_each_other_without_gap_or_overlap() {
        let rings = Near::new(at(1.0, 1.0), 50.0).unwrap().rings();
        let bounds: Vec<_> = rings.iter().map(|ring| (ring.from, ring.to)).collect();
        assert_eq!(bounds.len(), 5);
        assert_eq!(bounds[0].0, None);
        assert!(bounds.windows(2).all(|pair| pair[1].0 == Some(pair[0].1)));
        assert_eq!(bounds[4].1, square(50.0));
        assert_eq!(Near::new(at(1.0, 1.0), 1.0).unwrap().rings().len(), 1);
    }

    #[test]
    fn nonsense_is_no_place() {
        for wrong in ["", "1", "1,2,3", "91,0", "0,181", "NaN,0", "inf,0", "a,b", "1;2"] {
            assert!(wrong.parse::<Coordinates>().is_err(), "{wrong}");
        }
        assert_eq!("52.52, 13.405".parse(), Ok(at(52.52, 13.405)));
        assert_eq!(at(-0.0, 0.0).to_string(), "0,0");
        for radius in [0.99, 500.1, f64::NAN, -1.0] {
            assert!(Near::new(at(0.0, 0.0), radius).is_none());
        }
    }
}
