/* SPDX-License-Identifier: ISC */
/* One line of what an SMTP server says; see reply.h. */
#include <string.h>
#include <strings.h>

#include "reply.h"

int
reply_line(const char *line, int *code, const char **text)
{
	int i;

	*code = 0;
	for (i = 0; i < 3 && line[i] >= '0' && line[i] <= '9'; i++)
		*code = *code * 10 + (line[i] - '0');
	if (i < 3 || *code < 200 || *code > 599 ||
	    (line[3] != '\0' && line[3] != ' ' && line[3] != '-'))
		return -1;
	*text = line + (line[3] == '\0' ? 3 : 4);
	return line[3] != '-';
}

const char *
reply_keyword(const char *line, const char *keyword)
{
	size_t len = strlen(keyword);

	if (strncasecmp(line, keyword, len) != 0)
		return NULL;
	if (line[len] == '\0')
		return line + len;
	return line[len] == ' ' || line[len] == '=' ? line + len + 1 : NULL;
}
