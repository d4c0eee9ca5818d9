"""From extracted text to a corpus and a question-answer set with splits."""
