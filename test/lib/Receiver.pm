# The scripted receiver (receiver.py) as an object of a TAP program.
package Receiver;

use strict;
use warnings;

use FindBin;
use HTTP::Tiny;
use IPC::Open3 ();
use JSON::PP ();

# Certificates: a directory that mkca filled; without it there is no TLS.  Program: another one that is asked alike.
sub start
{
	my ($class, %options) = @_;
	my @command = ('/usr/bin/python3', "$FindBin::RealBin/../lib/" . ($options{program} // 'receiver.py'));
	push @command, '--certificates', $options{certificates} if defined $options{certificates};
	my ($input, $output);
	my $pid = IPC::Open3::open3($input, $output, '>&STDERR', @command);
	my $line = <$output> // die 'the receiver did not start';
	return bless {
		pid => $pid,
		input => $input,
		ports => JSON::PP->new->decode($line),
		http => HTTP::Tiny->new(timeout => 30)
	}, $class;
}

sub port
{
	my ($self, $listener) = @_;
	return $self->{ports}{ $listener // 'http' } // die "no listener $listener";
}

# The address of a behaviour: plain HTTP unless the scheme is said.
sub url
{
	my ($self, $path, $listener, $scheme) = @_;
	$scheme //= 'http';
	my $host = $scheme eq 'https' ? 'localhost' : '127.0.0.1';
	return "$scheme://$host:" . $self->port($listener) . $path;
}

sub encoded
{
	my ($text) = @_;
	$text =~ s/([^A-Za-z0-9_.~-])/sprintf('%%%02X', ord($1))/ge;
	return $text;
}

sub ask
{
	my ($self, $question, %parameters) = @_;
	my $query = join('&', map { "$_=" . encoded($parameters{$_}) } sort keys %parameters);
	my $answer = $self->{http}->get($self->url("/_$question?$query"));
	die "the receiver says $answer->{status}: $answer->{content}" unless $answer->{success};
	return JSON::PP->new->decode($answer->{content});
}

# The requests under a path, oldest first.
sub arrived
{
	my ($self, $path) = @_;
	return @{ $self->ask('log', path => $path) };
}

# How many requests, keys and connections under a path, how many of them at once.
sub count
{
	my ($self, $path) = @_;
	return $self->ask('count', path => $path);
}

# Idempotency-Key -> reference to its times of arrival.
sub keys_of
{
	my ($self, $path) = @_;
	return %{ $self->ask('keys', path => $path) };
}

# From now on the path behaves like another; without one: like itself again.
sub switch
{
	my ($self, $path, $as) = @_;
	$self->ask('switch', path => $path, as => $as // '');
	return;
}

# Answers what is held under a path; what comes from now on is answered at once.
sub let_go
{
	my ($self, $path) = @_;
	$self->switch($path, '/ok');
	return $self->ask('release', path => $path)->{released};
}

# It ends when its standard input does.
sub DESTROY
{
	my ($self) = @_;
	local ($?, $!);
	close($self->{input});
	waitpid($self->{pid}, 0);
	return;
}

1;
