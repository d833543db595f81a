package sink

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
)

const (
	maxLine       = 64 << 10 // bytes of a command, or of a mail's line looked at at once
	maxRecipients = 100      // of one mail
)

// ServeSMTP is a mail server that takes every mail, with PIPELINING, and counts
// it for each of its recipients before it says so. It returns when ctx ends,
// without an error, and leaves no connection open.
func ServeSMTP(ctx context.Context, l net.Listener, c *Counter) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	var sessions sync.WaitGroup
	defer sessions.Wait()
	var queue atomic.Int64
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			cancel() // the sessions end before the deferred wait does
			return fmt.Errorf("smtp sink: accept: %w", err)
		}
		sessions.Go(func() {
			stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
			defer stop()
			defer conn.Close()
			s := smtpSession{
				in:      bufio.NewReaderSize(conn, maxLine),
				out:     bufio.NewWriterSize(conn, 4096),
				counter: c,
				queue:   &queue,
			}
			s.serve()
		})
	}
}

type smtpSession struct {
	in      *bufio.Reader
	out     *bufio.Writer
	counter *Counter
	queue   *atomic.Int64
	mail    bool
	to      [][]byte // slices into addresses
	room    []byte   // what to is made of
	data    []byte
}

// serve answers commands until the client leaves. Answers go out together once
// nothing more is read already, which is what makes pipelining fast.
func (s *smtpSession) serve() {
	s.say("220 sink.example ESMTP\r\n")
	for {
		if s.in.Buffered() == 0 && s.out.Flush() != nil {
			return
		}
		line, err := s.in.ReadSlice('\n')
		if err != nil {
			return
		}
		if !s.command(line) {
			_ = s.out.Flush()
			return
		}
	}
}

func (s *smtpSession) command(line []byte) bool {
	verb, _, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(" "))
	switch {
	case bytes.EqualFold(verb, []byte("MAIL")):
		s.reset()
		s.mail = true
		s.say("250 2.1.0 Ok\r\n")
	case bytes.EqualFold(verb, []byte("RCPT")):
		s.recipient(line)
	case bytes.EqualFold(verb, []byte("DATA")):
		return s.content()
	case bytes.EqualFold(verb, []byte("EHLO")):
		s.say("250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES\r\n")
	case bytes.EqualFold(verb, []byte("HELO")):
		s.say("250 sink.example\r\n")
	case bytes.EqualFold(verb, []byte("RSET")):
		s.reset()
		s.say("250 2.0.0 Ok\r\n")
	case bytes.EqualFold(verb, []byte("NOOP")):
		s.say("250 2.0.0 Ok\r\n")
	case bytes.EqualFold(verb, []byte("QUIT")):
		s.say("221 2.0.0 Bye\r\n")
		return false
	default:
		s.say("502 5.5.2 Unknown command\r\n")
	}
	return true
}

func (s *smtpSession) recipient(line []byte) {
	open, end := bytes.IndexByte(line, '<'), bytes.LastIndexByte(line, '>')
	switch {
	case !s.mail:
		s.say("503 5.5.1 MAIL first\r\n")
	case open < 0 || end < open:
		s.say("501 5.1.3 No address\r\n")
	case len(s.to) == maxRecipients:
		s.say("452 4.5.3 Too many recipients\r\n")
	default:
		start := len(s.room)
		s.room = append(s.room, line[open+1:end]...)
		s.to = append(s.to, s.room[start:])
		s.say("250 2.1.5 Ok\r\n")
	}
}

// content takes the mail itself. It keeps a copy only for a counter that wants
// one.
func (s *smtpSession) content() bool {
	if len(s.to) == 0 {
		s.say("554 5.5.1 No valid recipients\r\n")
		return true
	}
	s.say("354 Go on\r\n")
	if s.out.Flush() != nil {
		return false
	}
	keep := s.counter.keeps()
	s.data = s.data[:0]
	atStart := true
	for {
		line, err := s.in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return false
		}
		if atStart && line[0] == '.' {
			if string(line) == ".\r\n" {
				break
			}
			line = line[1:]
		}
		atStart = err == nil
		if keep {
			s.data = append(s.data, line...)
		}
	}
	for _, address := range s.to {
		s.counter.add(address, s.data)
	}
	s.reset()
	s.out.WriteString("250 2.0.0 Ok: queued as ")
	s.out.Write(strconv.AppendInt(s.out.AvailableBuffer(), s.queue.Add(1), 16))
	s.out.WriteString("\r\n")
	return true
}

func (s *smtpSession) reset() { s.mail, s.to, s.room = false, s.to[:0], s.room[:0] }

// say leaves errors to the flush, where they come up again.
func (s *smtpSession) say(reply string) { _, _ = s.out.WriteString(reply) }
