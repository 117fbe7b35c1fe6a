# A page of documentation whose statements are run, whose output must be what they print.
#
#     my $page = Walkthrough->read('docs/when-something-is-red.md');
#     for my $example ($page->examples('A rotated password')) { $page->run($node, $example); }
#     $page->check;
#
# A block of SQL is followed by the block of what it printed.  Of that, what differs from run to run (times,
# ports) is written in one way; a row stands as psql's \x has it, without the columns that are empty, each
# value wrapped between words.  What was printed is written beside the page where they differ.
package Walkthrough;

use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use Text::Wrap ();

use constant { COLUMNS => 118, FIELD => "\x1f", RECORD => "\x1e" };

sub read
{
	my ($class, $path) = @_;
	my $text = PostgreSQL::Test::Utils::slurp_file($path);
	utf8::decode($text);
	my ($title, @examples) = ('');
	# A heading, or a block of SQL with what it printed.
	while ($text =~ /^## ([^\n]*)\n|^```sql\n(.*?)^```\n(?:```\n(.*?)^```\n)?/gms)
	{
		if (defined $1) { $title = $1; next; }
		push @examples, { title => $title, sql => $2, printed => $3, at => $-[2] };
	}
	return bless { path => $path, text => $text, examples => \@examples, names => {}, spellings => [] }, $class;
}

# Those of one section, in the order of the page.
sub examples
{
	my ($self, $title) = @_;
	return grep { $_->{title} eq $title } @{ $self->{examples} };
}

# On the page this stands for that, in statements as well.
sub name
{
	my ($self, $real, $shown) = @_;
	$self->{names}{$shown} = $real;
	return;
}

# What matches the pattern is written in these words on the page.
sub spell
{
	my ($self, $pattern, $words) = @_;
	push @{ $self->{spellings} }, [ $pattern, $words ];
	return;
}

sub spelled
{
	my ($self, $value) = @_;
	$value =~ s/\Q$self->{names}{$_}\E/$_/g for keys %{ $self->{names} };
	for my $spelling (@{ $self->{spellings} })
	{
		my ($pattern, $words) = @$spelling;
		$value =~ s/$pattern/$words/g;
	}
	return $value;
}

# The statement with the real names.
sub stated
{
	my ($self, $example) = @_;
	my $sql = $example->{sql};
	$sql =~ s/\Q$_\E/$self->{names}{$_}/g for keys %{ $self->{names} };
	chomp $sql;
	return $sql;
}

# Runs the statement as a person at psql would; returns its rows as hashes.
sub run
{
	my ($self, $node, $example) = @_;
	my @command = ('psql', '-X', '-A', '-v', 'ON_ERROR_STOP=1', '-P', 'footer=off', '-F', FIELD, '-R', RECORD,
		'-d', $node->connstr('postgres'), '-c', $self->stated($example));
	my ($out, $error) = ('', '');
	my $succeeded = IPC::Run::run(\@command, '<', \undef, '>', \$out, '2>', \$error);
	ok($succeeded, "$example->{title}: $example->{sql}") or diag($error);
	utf8::decode($out);
	chomp $out;
	my ($names, @records) = map { [ split(FIELD, $_, -1) ] } split(RECORD, $out);
	my @rows = map { my %row; @row{@$names} = @$_; \%row } @records;
	$example->{prints} = @records ? $self->rendered($names, @rows) : "$out\n";
	return @rows;
}

sub rendered
{
	my ($self, $names, @rows) = @_;
	return $self->value_alone($rows[0]{ $names->[0] }) if @$names == 1 && @rows == 1;
	my ($width) = sort { $b <=> $a } map { length } @$names;
	my $line = '-' x ($width + 1) . '+' . '-' x 40 . "\n";
	return join($line, map { $self->record($width, $names, $_) } @rows);
}

sub value_alone
{
	my ($self, $value) = @_;
	local $Text::Wrap::columns = COLUMNS;
	local $Text::Wrap::huge = 'overflow';
	local $Text::Wrap::unexpand = 0;
	return Text::Wrap::wrap('', '', $self->spelled($value)) . "\n";
}

sub record
{
	my ($self, $width, $names, $row) = @_;
	local $Text::Wrap::columns = COLUMNS;
	local $Text::Wrap::huge = 'overflow';
	local $Text::Wrap::unexpand = 0;
	my $text = '';
	for my $name (@$names)
	{
		next if $row->{$name} eq '';
		$text .= Text::Wrap::wrap(sprintf("%-${width}s | ", $name), ' ' x $width . ' | ', $self->spelled($row->{$name})) . "\n";
	}
	return $text;
}

# The page with what was printed now.
sub as_printed
{
	my ($self) = @_;
	my $text = $self->{text};
	for my $example (reverse @{ $self->{examples} })
	{
		next unless defined $example->{prints};
		my $old = "$example->{sql}```\n" . (defined $example->{printed} ? "```\n$example->{printed}```\n" : '');
		substr($text, $example->{at}, length $old) = "$example->{sql}```\n```\n$example->{prints}```\n";
	}
	return $text;
}

# Whether the page says what was printed; if not, the page as it should be is left beside the logs.
sub check
{
	my ($self) = @_;
	for my $example (@{ $self->{examples} })
	{
		is($example->{prints}, $example->{printed}, "$self->{path}, $example->{title}: what is printed");
	}
	my $printed = $self->as_printed;
	return if $printed eq $self->{text};
	my ($name) = $self->{path} =~ m{([^/]+)$};
	my $new = "$PostgreSQL::Test::Utils::log_path/$name";
	utf8::encode($printed);
	unlink $new;
	PostgreSQL::Test::Utils::append_to_file($new, $printed);
	diag("with KEEP=1 the page as it should be is left in $new");
	return;
}

1;
