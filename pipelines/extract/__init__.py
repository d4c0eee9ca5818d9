"""From stored pages to articles and question-answer pairs."""
