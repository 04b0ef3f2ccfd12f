# Frames of HTTP/2 and messages of gRPC, written by hand, for clients that do what no library does.
#
# Owns: nothing.
# Locks, memory: none.

package H2Test;

use strict;
use warnings;
use Exporter 'import';
use IO::Select;
use IO::Socket::INET;
use SteadyTime;
use Time::HiRes qw(sleep);

our @EXPORT = qw(h2_preface h2_frame h2_header h2_headers h2_data h2_text h2_dial h2_put h2_put_all h2_answer);

sub h2_preface { return "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . h2_frame(4, 0, 0, ''); }

# h2_frame(type, flags, stream, payload)
sub h2_frame { my ($type, $flags, $stream, $payload) = @_; return substr(pack('N', length $payload), 1) . pack('CCN', $type, $flags, $stream) . $payload; }

# An integer of HPACK with a prefix of so many bits.
sub integer
{
	my ($number, $bits, $first) = @_;
	my $most = 2**$bits - 1;

	return pack('C', $first | $number) if $number < $most;
	my $bytes = pack 'C', $first | $most;
	for ($number -= $most; $number >= 128; $number >>= 7) { $bytes .= pack 'C', $number & 127 | 128; }
	return $bytes . pack('C', $number);
}

# A header without Huffman's code; with $table it is put into the table of the connection.
sub h2_header
{
	my ($name, $value, $table) = @_;
	return pack('C', $table ? 0x40 : 0) . integer(length $name, 7, 0) . $name . integer(length $value, 7, 0) . $value;
}

# h2_headers(stream, rpc, [name, value], ...): the begin of a call.
sub h2_headers
{
	my ($stream, $rpc, @more) = @_;

	return h2_frame(1, 4, $stream, join '', map { h2_header(@$_) } [ ':method', 'POST' ], [ ':scheme', 'http' ], [ ':path', "/TaskHubSidecarService/$rpc" ],
		[ ':authority', 'localhost' ], [ 'content-type', 'application/grpc' ], [ 'te', 'trailers' ], @more);
}

# Its message, in one frame, which is the last one of the call.
sub h2_data { my ($stream, $message) = @_; return h2_frame(0, 1, $stream, pack('CN', 0, length $message) . $message); }

# A field of a message: a text, or a message.
sub h2_text { my ($number, $text) = @_; return pack('C', $number << 3 | 2) . integer_of_field(length $text) . $text; }

sub integer_of_field
{
	my ($number) = @_;
	my $bytes = '';

	for (; $number >= 128; $number >>= 7) { $bytes .= pack 'C', $number & 127 | 128; }
	return $bytes . pack('C', $number);
}

sub h2_dial { my ($port) = @_; return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port); }

sub h2_put { my ($socket, $bytes) = @_; local $SIG{PIPE} = 'IGNORE'; return syswrite $socket, $bytes; }

# As much as the other side takes within a time.
sub h2_put_all
{
	my ($socket, $bytes, $patience) = @_;
	my $deadline = time + $patience;

	$socket->blocking(0);
	while (length $bytes && time < $deadline)
	{
		my $n = h2_put($socket, $bytes);

		if (defined $n) { substr($bytes, 0, $n) = ''; }
		elsif ($!{EAGAIN}) { sleep 0.01; }
		else { last; }
	}
	return;
}

# What comes within a time, at most so long as the pattern has not come.
sub h2_answer
{
	my ($socket, $patience, $pattern) = @_;
	my $answer = '';
	my $deadline = time + $patience;

	while (time < $deadline && !($pattern && $answer =~ $pattern))
	{
		next unless IO::Select->new($socket)->can_read(0.05);
		last unless sysread $socket, $answer, 65536, length $answer;
	}
	return $answer;
}

1;
