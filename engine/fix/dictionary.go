package fix

import (
	"bytes"
	_ "embed"
	"fmt"
	"sync"

	"github.com/quickfixgo/quickfix"
	"github.com/quickfixgo/quickfix/datadictionary"

	"onebeat/engine/fix/convert"
)

// The dictionaries of quickfixgo's spec folder.
var (
	//go:embed spec/FIX42.xml
	fix42 []byte
	//go:embed spec/FIX44.xml
	fix44 []byte
)

// dictionaries are read once.
var dictionaries = map[convert.Version]func() (*datadictionary.DataDictionary, error){
	convert.FIX42: sync.OnceValues(func() (*datadictionary.DataDictionary, error) { return datadictionary.ParseSrc(bytes.NewReader(fix42)) }),
	convert.FIX44: sync.OnceValues(func() (*datadictionary.DataDictionary, error) { return datadictionary.ParseSrc(bytes.NewReader(fix44)) }),
}

// checker parses and checks one connection's messages.
type checker struct {
	dictionary *datadictionary.DataDictionary
	validator  quickfix.Validator
	msg        *quickfix.Message
	buf        bytes.Buffer
}

func newChecker(v convert.Version, validate, allowUser bool) (*checker, error) {
	d, err := dictionaries[v]()
	if err != nil {
		return nil, fmt.Errorf("dictionary of %s: %w", v.BeginString(), err)
	}
	c := &checker{dictionary: d, msg: quickfix.NewMessage()}
	if validate {
		c.validator = quickfix.NewValidator(quickfix.ValidatorSettings{CheckFieldsOutOfOrder: true, RejectInvalidMessage: true,
			CheckUserDefinedFields: !allowUser}, d, nil)
	}
	return c, nil
}

// parse makes a quickfix message of m; garbled: it is none.
func (c *checker) parse(m []byte) (garbled bool) {
	c.buf = *bytes.NewBuffer(m)
	return quickfix.ParseMessageWithDataDictionary(c.msg, &c.buf, nil, c.dictionary) != nil
}

// check applies the dictionary's rules.
func (c *checker) check(m []byte) (reject *reject, garbled bool) {
	if c.validator == nil {
		return nil, false
	}
	if c.parse(m) {
		return nil, true
	}
	if err := c.validator.Validate(c.msg); err != nil {
		return rejectOf(err), false
	}
	return nil, false
}

// body returns the fields of m's body as quickfixgo writes them: by tag, groups as they
// are.
func (c *checker) body(m []byte) []byte {
	if c.parse(m) {
		return nil
	}
	out := quickfix.NewMessage()
	c.msg.Body.CopyInto(&out.Body.FieldMap)
	out.Header.SetString(35, "0")
	b := out.Bytes()
	from := bytes.Index(b, []byte("\x0135=0\x01"))
	to := bytes.LastIndex(b, trailer)
	if from < 0 || to < from {
		return nil
	}
	return b[from+len("\x0135=0\x01") : to+1]
}

// reject is a session-level or business-level rejection.
type reject struct {
	business bool
	reason   int
	tag      int // 0: none
	hasTag   bool
	text     string
}

func rejectOf(err quickfix.MessageRejectError) *reject {
	r := &reject{business: err.IsBusinessReject(), reason: err.RejectReason(), text: err.Error()}
	if t := err.RefTagID(); t != nil {
		r.tag, r.hasTag = int(*t), true
	}
	return r
}

// SessionRejectReason (373) as the standard numbers them.
const (
	reasonInvalidTag      = 0
	reasonRequiredMissing = 1
	reasonNoValue         = 4
	reasonIncorrectValue  = 5
	reasonIncorrectFormat = 6
	reasonCompID          = 9
	reasonSendingTime     = 10
	reasonInvalidMsgType  = 11
)

func requiredMissing(tag int) *reject {
	return &reject{reason: reasonRequiredMissing, tag: tag, hasTag: true, text: "Required tag missing"}
}

func noValue(tag int) *reject {
	return &reject{reason: reasonNoValue, tag: tag, hasTag: true, text: "Tag specified without a value"}
}

func incorrectValue(tag int) *reject {
	return &reject{reason: reasonIncorrectValue, tag: tag, hasTag: tag != 0, text: "Value is incorrect (out of range) for this tag"}
}

func incorrectFormat(tag int) *reject {
	return &reject{reason: reasonIncorrectFormat, tag: tag, hasTag: true, text: "Incorrect data format for value"}
}
