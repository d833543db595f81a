package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gorm.io/gorm"
)

// How the audience is cut. The first page is small, so that sending starts at
// once whatever the audience.
const (
	firstPage = 1000
	pageSize  = 10000
	chunkSize = 1000
)

// errLost says that another process was quicker.
var errLost = errors.New("another process was quicker")

// FreezePage freezes the next page of a campaign's audience into chunks, in one
// short transaction, and says whether there is more to do. Moving build_after is
// a compare-and-swap, so a second builder loses and stops: no lease is needed.
func (s *Store) FreezePage(ctx context.Context, campaign int64) (more bool, err error) {
	c, err := s.campaignByKey(s.read(ctx), campaign)
	if err != nil || c.Built || c.Status != Sending {
		return false, err
	}
	limit := pageSize
	if c.BuildAfter == 0 {
		limit = firstPage
	}
	var members []member
	err = s.walk(ctx, func(tx *gorm.DB) (err error) {
		members, err = s.audiencePage(tx, &c, *c.Audience, c.BuildAfter, limit)
		return err
	})
	if err != nil {
		return false, err
	}
	contents, err := s.Contents(ctx, campaign)
	if err != nil {
		return false, err
	}
	if c.BuildAfter == 0 && !s.Embedded() {
		if err := s.ensurePartition(ctx, campaign); err != nil {
			return false, err
		}
	}
	last := len(members) < limit
	err = s.write(ctx, func(tx *gorm.DB) error { return s.freeze(tx, &c, contents, members, last) })
	if errors.Is(err, errLost) {
		return false, nil
	}
	if err == nil {
		s.announce(c.ID)
	}
	return err == nil && !last, err
}

func (s *Store) freeze(tx *gorm.DB, c *Campaign, contents []Content, members []member, last bool) error {
	chunks, skipped, ns := cut(c, contents, members)
	next := map[string]any{"built": last, "next_chunk": c.NextChunk + len(chunks)}
	if len(members) > 0 {
		next["build_after"] = members[len(members)-1].ID
	}
	r := tx.Model(&Campaign{}).Where("id = ? AND build_after = ? AND status = ? AND NOT built", c.ID, c.BuildAfter, Sending).UpdateColumns(next)
	if r.Error != nil {
		return fmt.Errorf("move the builder's cursor: %w", r.Error)
	}
	if r.RowsAffected == 0 {
		return errLost
	}
	if err := s.insertChunks(tx, chunks); err != nil {
		return fmt.Errorf("insert chunks: %w", err)
	}
	if err := s.insertSkipped(tx, c.ID, skipped); err != nil {
		return fmt.Errorf("record the skipped: %w", err)
	}
	if err := s.announceTx(tx, c.ID); err != nil {
		return err
	}
	return ns.store(tx)
}

// skippedMember is a contact of the audience that gets no message.
type skippedMember struct {
	contact int64
	variant int
	why     string
}

// cut sorts a page by variant and into chunks; order within a chunk is by id.
func cut(c *Campaign, contents []Content, members []member) (chunks []Chunk, skipped []skippedMember, ns counts) {
	byVariant, tally := make([][]int64, len(contents)), make([]Counters, len(contents))
	for _, m := range members {
		v := variantOf(c.ID, m.ID, contents)
		tally[v].Total++
		if m.Skip == "" {
			byVariant[v] = append(byVariant[v], m.ID)
		} else {
			tally[v].count(MessageSkipped, m.Skip)
			skipped = append(skipped, skippedMember{m.ID, v, m.Skip})
		}
	}
	ns = counts{}
	for v, n := range tally {
		n.CampaignID, n.Variant = c.ID, v
		ns.add(n)
	}
	n := c.NextChunk
	for v, ids := range byVariant {
		for k := range slices.Chunk(ids, chunkSize) {
			chunks = append(chunks, Chunk{Campaign: c.ID, N: n, Variant: v, IDs: k})
			n++
		}
	}
	return chunks, skipped, ns
}
