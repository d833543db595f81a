package store

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// DemoContacts is how many contacts the demo has.
const DemoContacts = 10_000

// demoCountry is where a part of the demo's people live.
type demoCountry struct {
	code                string
	cities, first, last []string
	blocks              []string // phone numbers but for the last digit
}

const (
	demoEnglishFirst = "Ada Alan Amara Ben Chloe Daniel Ella Emma Ethan Eva Finn Grace Hannah Harry Isaac Jack James Kai Leo Lily " +
		"Lucas Maya Mia Noah Nora Oliver Olivia Omar Priya Ruby Sam Sofia Theo Tom Zoe"
	demoEnglishLast = "Adams Ahmed Baker Bennett Brooks Carter Chen Clarke Cooper Davies Evans Foster Garcia Green Hall Hughes " +
		"Jackson Jones Khan King Lee Lewis Martin Miller Moore Morgan Nguyen Patel Reed Roberts Scott Singh Smith Taylor Walker Wood Young"
	demoFrenchFirst = "Adèle Alice Anaïs Arthur Camille Chloé Clément Élise Emma Gabriel Hugo Inès Jules Léa Léo Louis Lucie Maël " +
		"Manon Nathan Noémie Raphaël Rose Sarah Théo Zoé"
	demoFrenchLast = "Bernard Blanc Bonnet Dubois Dupont Durand Faure Fontaine Garnier Girard Henry Lambert Laurent Lefèvre Leroy " +
		"Marchand Martin Mercier Moreau Petit Renard Robert Rousseau Roux Simon Vidal Vincent"
	demoAreasUS = "201 202 203 205 206 207 208 209 210 212 213 214 215 216 217 218 219 224 225 228 229 231 234 239 240 248 " +
		"251 252 253 254 256 260 262 267 269 270 276 281 301 302 303 304 305 307 308 309 310 312 313 314 315 316 " +
		"317 318 319 320 321 323 325 330 334 336 337 339 347 351 352 360 361 385 386 401 402 404 405 406 407 408"
	demoAreasCA = "204 226 236 249 250 289 306 343 403 416 418 431 437 438 450 506 514 519 579 581 587 604 613 647 705 709 778 780 807 819"
)

// demoCountries have only numbers that belong to nobody: those that regulators
// keep free for films and books, 555-01XX in each area code of North America,
// 07700 900XXX in the United Kingdom (Ofcom), 06 39 98 XX XX in France (ARCEP).
func demoCountries() []demoCountry {
	f := strings.Fields
	return []demoCountry{
		{"US", f("Austin Boston Chicago Denver Portland Seattle"), f(demoEnglishFirst), f(demoEnglishLast), demoBlocks(10, "+1%s55501", demoAreasUS)},
		{"CA", f("Halifax Montréal Ottawa Toronto Vancouver"), f(demoEnglishFirst), f(demoEnglishLast), demoBlocks(10, "+1%s55501", demoAreasCA)},
		{"GB", f("Bristol Cardiff Glasgow Leeds London"), f(demoEnglishFirst), f(demoEnglishLast), demoBlocks(100, "+44%s900", "7700")},
		{"FR", f("Bordeaux Lille Lyon Nantes Paris Rennes"), f(demoFrenchFirst), f(demoFrenchLast), demoBlocks(720, "+33%s98", "639")},
	}
}

// demoBlocks are n blocks of ten numbers in each area.
func demoBlocks(n int, format, areas string) (blocks []string) {
	digits := len(strconv.Itoa(n - 1))
	for area := range strings.FieldsSeq(areas) {
		for i := range n {
			blocks = append(blocks, fmt.Sprintf(format, area)+fmt.Sprintf("%0*d", digits, i))
		}
	}
	return blocks
}

// demoPerson is a number and who has it.
type demoPerson struct {
	country *demoCountry
	phone   string
}

// demoPeople pick the last digits, by which the sandbox decides what becomes of
// a message, so that one in sixteen does not arrive.
func demoPeople() (people []demoPerson) {
	const arrives, others = "02789", "3435316434"
	countries := demoCountries()
	for i := range countries {
		c := &countries[i]
		for n, block := range c.blocks {
			digits := arrives
			if n%3 == 0 {
				digits += others[n/3%len(others):][:1]
			}
			for _, d := range digits {
				people = append(people, demoPerson{c, block + string(d)})
			}
		}
	}
	return people
}

// demoContacts are the same each time but for their ids and times, which end at
// the given one. One in twenty has no phone number, one in ten no mailbox, a few
// have opted out.
func demoContacts(sc Scope, at time.Time) ([]Contact, error) {
	r := rand.New(rand.NewPCG(2026, 3))
	people := demoPeople()
	r.Shuffle(len(people), func(i, j int) { people[i], people[j] = people[j], people[i] })
	cs := make([]Contact, DemoContacts)
	for i := range cs {
		c := demoContact(r, people[i], i)
		c.PublicID, c.AccountID, c.Mode = newID("con"), sc.Account, sc.Mode
		c.CreatedAt = at.Add(-time.Duration(len(cs)-i) * 45 * time.Minute)
		c.UpdatedAt = c.CreatedAt
		if err := faulty(normalise(&c)...); err != nil {
			return nil, err
		}
		cs[i] = c
	}
	return cs, nil
}

func demoContact(r *rand.Rand, p demoPerson, i int) Contact {
	of := func(choices []string) string { return choices[r.IntN(len(choices))] }
	oneIn := func(n int) bool { return r.IntN(n) == 0 }
	id, first, last := fmt.Sprintf("customer-%05d", i+1), of(p.country.first), of(p.country.last)
	c := Contact{
		ExternalID: &id, FirstName: &first, LastName: &last, Country: &p.country.code,
		Attributes: map[string]any{"city": of(p.country.cities), "plan": of([]string{"basic", "plus", "gold"}), "points": float64(r.IntN(500) * 10)},
	}
	for _, t := range []struct {
		tag   string
		oneIn int
	}{{"vip", 10}, {"newsletter", 2}} {
		if oneIn(t.oneIn) {
			c.Tags = append(c.Tags, t.tag)
		}
	}
	if !oneIn(3) {
		c.Tags = append(c.Tags, "spring")
	}
	if i%20 != 19 {
		c.Phone = &p.phone
	}
	if !oneIn(10) { // its last digit is the number's, and so is what the sandbox makes of it
		email := fmt.Sprintf("%s.%s.%d%s@example.com", ascii(first), ascii(last), i+1, p.phone[len(p.phone)-1:])
		c.Email = &email
	}
	if oneIn(40) {
		c.OptedOut |= SetOf(SMS)
	}
	if oneIn(40) {
		c.OptedOut |= SetOf(Email)
	}
	return c
}

// ascii takes the accents off a name.
func ascii(name string) string {
	return strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII {
			return -1
		}
		return r
	}, norm.NFD.String(name))
}
