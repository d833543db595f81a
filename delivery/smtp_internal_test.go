package delivery

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// outwardConn is a connection to another machine; whoever writes to it panics.
type outwardConn struct{ net.Conn }

func (outwardConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 25} }

func TestSMTPCredentialsNeverLeaveTheMachineInClearText(t *testing.T) {
	c := &smtpConn{
		cfg: &SMTPConfig{Username: "shop", Password: "secret"},
		ext: smtpExtensions{auth: []string{"PLAIN", "LOGIN", "CRAM-MD5"}},
	}
	c.use(outwardConn{})
	require.ErrorContains(t, c.authenticate("mail.example"), "no TLS")
}
