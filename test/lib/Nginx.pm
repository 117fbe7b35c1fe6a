# A real web server for TAP programs: nginx with servers of the caller's.
#
#     my $port = Nginx->free_port;
#     my $nginx = Nginx->start('$connection $uri', "server { listen 127.0.0.1:$port; return 200; }");
#     my @lines = $nginx->log_lines;
package Nginx;

use strict;
use warnings;

use IO::Socket::INET;
use PostgreSQL::Test::Utils;

use Integration;

my ($program) = grep { -x $_ } '/usr/sbin/nginx', '/usr/local/sbin/nginx';

sub is_installed
{
	return defined $program;
}

# Between here and the start somebody else could take the port: then nginx fails, and so does the test.
sub free_port
{
	my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) // die $!;
	return $socket->sockport;
}

# Each request becomes a line of the log in that format.
sub start
{
	my ($class, $log_format, $servers) = @_;
	my $directory = PostgreSQL::Test::Utils::tempdir();
	mkdir("$directory/temp") || die $!;
	my $temporary = join("\n",
		map { "\t${_}_temp_path $directory/temp/$_;" } qw(client_body proxy fastcgi uwsgi scgi));
	PostgreSQL::Test::Utils::append_to_file("$directory/nginx.conf", <<"END");
pid $directory/nginx.pid;
error_log $directory/error.log;
events { }
http {
	log_format requests '$log_format';
	access_log $directory/access.log requests;
$temporary
$servers
}
END
	PostgreSQL::Test::Utils::system_or_bail($program, '-c', "$directory/nginx.conf");
	return bless { directory => $directory }, $class;
}

sub log_lines
{
	my ($self) = @_;
	return split(/\n/, PostgreSQL::Test::Utils::slurp_file("$self->{directory}/access.log"));
}

sub stop
{
	my ($self) = @_;
	my $pid_file = "$self->{directory}/nginx.pid";
	return unless -e $pid_file;
	my ($pid) = PostgreSQL::Test::Utils::slurp_file($pid_file) =~ /(\d+)/;
	kill 'TERM', $pid;
	wait_for(sub { !-e $pid_file }) or warn 'nginx did not end';
	return;
}

sub DESTROY
{
	my ($self) = @_;
	local ($?, $!);
	$self->stop;
	return;
}

1;
