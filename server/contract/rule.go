package contract

import "strconv"

// rule is one demand of the contract, in the words told to who breaks it.
type rule struct{ keyword, expected, message, code string }

// must words a rule that reads "must be …" or "must have …".
func must(keyword, verb, expected, code string) rule {
	return rule{keyword, expected, "must " + verb + " " + expected, code}
}

// Rules that do not come from a schema.
var (
	ruleRequired = rule{"required", "", "is required", codeValidation}
	ruleMissing  = rule{"required", "", "is required", codeMissingField}
	ruleUnknown  = rule{"additionalProperties", "", "is not a known field", codeValidation}
	ruleReadOnly = rule{"readOnly", "", "is read-only and not a field of requests", codeValidation}
	ruleNoQuery  = rule{"unknown", "", "is not a known query parameter", codeValidation}
	ruleNoBody   = rule{"unexpected", "", "is not taken by this operation", codeValidation}
	ruleCutShort = rule{"unreadable", "", "ended before its announced length", codeValidation}
	ruleRepeated = rule{"repeated", "", "must be given once", codeValidation}
	ruleTwice    = rule{"uniqueItems", "items that differ", "is there twice", codeValidation}
	ruleAnyOf    = rule{"anyOf", "", "must match at least one of the allowed shapes", codeValidation}
	ruleOneOf    = rule{"oneOf", "", "must match exactly one of the allowed shapes", codeValidation}
	ruleObject   = must("type", "be", "an object", codeValidation)
	ruleInt64    = must("format", "be", "an integer of 64 bits", codeValidation)
	ruleDouble   = must("format", "be", "a number of double precision", codeValidation)
	ruleUnfit    = rule{"type", "", "is out of the range that can be stored", codeValidation}
	ruleDepth    = must("depth", "have", "at most "+strconv.Itoa(maxDepth)+" levels of objects and arrays in each other", codeValidation)
	ruleEscape   = rule{"encoding", "", "is not valid percent-encoding", codeValidation}
	ruleNUL      = rule{"encoding", "", "must not contain the NUL character", codeValidation}
	ruleUTF8     = rule{"encoding", "", "must be valid Unicode in UTF-8", codeValidation}
)
