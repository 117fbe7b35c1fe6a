# A real web server for TAP programs: nginx with servers of the caller's.
#
#     my $port = Nginx->free_port;
#     my $nginx = Nginx->start('$connection $uri', "server { listen 127.0.0.1:$port; return 200; }");
#     my @lines = $nginx->log_lines;
package Nginx;

use strict;
use warnings;

use IPC::Open3 ();
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

use Integration;

my ($program) = grep { -x $_ } '/usr/sbin/nginx', '/usr/local/sbin/nginx';

sub is_installed
{
	return defined $program;
}

# Below those that connections are given, kept from other tests: nobody takes it while nginx is away.
sub free_port
{
	return PostgreSQL::Test::Cluster::get_free_port();
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
	# Not a daemon: that would leave the test's process group, and outlive a test that is killed.
	my $pid = IPC::Open3::open3(my $input, '>&STDERR', '>&STDERR', $program, '-c', "$directory/nginx.conf", '-g', 'daemon off;');
	# It listens before it writes this down.
	my $is_there = sub { -s "$directory/nginx.pid" };
	wait_for(sub { $is_there->() || waitpid($pid, POSIX::WNOHANG) != 0 });
	$is_there->() or die 'nginx did not start';
	return bless { directory => $directory, pid => $pid }, $class;
}

sub log_lines
{
	my ($self) = @_;
	return split(/\n/, PostgreSQL::Test::Utils::slurp_file("$self->{directory}/access.log"));
}

sub stop
{
	my ($self) = @_;
	my $pid = delete $self->{pid} // return;
	kill 'TERM', $pid;
	waitpid($pid, 0);
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
