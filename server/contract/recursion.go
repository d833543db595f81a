package contract

import (
	"fmt"
	"slices"
)

// checkRecursion fails on schemas whose check would not end, or would take time
// exponential in the nesting of a body: those that contain themselves without
// stepping into a member or an item, and those that contain themselves by
// several parts that all look at the same value.
func (c *compiler) checkRecursion() error {
	for _, s := range c.all {
		groups := append(s.groups(), s.inside())
		recursing := 0
		for _, group := range groups {
			if reaches(group, s, everything, map[*schema]bool{}) {
				recursing++
			}
		}
		if reaches(sameValue(s), s, sameValue, map[*schema]bool{}) {
			return fmt.Errorf("schema %s consists of itself", s.ref)
		}
		if recursing > 1 {
			return fmt.Errorf("schema %s contains itself in several parts: tell them apart with a discriminator", s.ref)
		}
	}
	return nil
}

// reaches says whether target is among the schemas from, or behind them.
func reaches(from []*schema, target *schema, behind func(*schema) []*schema, seen map[*schema]bool) bool {
	for _, s := range from {
		if s == target {
			return true
		}
		if seen[s] {
			continue
		}
		seen[s] = true
		if reaches(behind(s), target, behind, seen) {
			return true
		}
	}
	return false
}

// groups are the schemas that s is composed of, by group: one of each group is
// checked against a value of s. Only a discriminator has a group of several.
func (s *schema) groups() [][]*schema {
	var groups [][]*schema
	for _, part := range slices.Concat(s.allOf, s.anyOf, s.oneOf) {
		groups = append(groups, []*schema{part})
	}
	if s.tag != nil {
		var branches []*schema
		for _, b := range s.tag.branches {
			branches = append(branches, b)
		}
		groups = append(groups, branches)
	}
	return groups
}

// inside are the schemas of the value's members and items.
func (s *schema) inside() []*schema {
	var inside []*schema
	for _, m := range s.members {
		inside = append(inside, m.schema)
	}
	inside = append(inside, s.items, s.others)
	return slices.DeleteFunc(inside, func(s *schema) bool { return s == nil })
}

func sameValue(s *schema) []*schema  { return slices.Concat(s.groups()...) }
func everything(s *schema) []*schema { return append(sameValue(s), s.inside()...) }
